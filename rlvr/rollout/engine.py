"""One vLLM engine in this process, without a loop of its own.

Requests are submitted; `run` does engine steps and returns finished rollouts. Anything between two calls
(new requests, a weight update) happens between two engine steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rlvr.base.imports import lean_imports
from rlvr.rollout.config import BOUND, DecodingConfig, RolloutConfig
from rlvr.rollout.text import drawn_text, prompt_end
from rlvr.types import FinishReason, IntArray, RlvrError, Rollout, SamplingMask

# vLLM's words for the end of an answer. With any other, such as abort or error, it is no answer.
FINISHED = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH, "repetition": FinishReason.LENGTH}
DRAWS = 3  # of an answer that vLLM breaks off
FEW_TOKENS = 512  # in a vocabulary: up to here, token ranks cost less uncompiled than compiling them does


@dataclass(frozen=True)
class Request:
    """One answer to generate."""

    problem_id: str
    step: int
    sample: int
    seed: int
    prompt: list[int]  # token ids
    temperature: float
    max_tokens: int
    top_p: float = 1.0
    end: int | None = None  # a token that ends the answer, beside those of the model's own settings
    draws: int = 1  # of this answer, this one included
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    sampling_mask: bool = False  # record what each token is sampled from; top_k is then BOUND where unset


class RolloutEngine:
    """Owns the vLLM engine. Start-up takes seconds and imports vLLM. With `sleeps` it can free its GPU memory
    for a learner on the same GPU, and reads that learner's weights in place."""

    def __init__(
        self, model_path: str, max_length: int, config: RolloutConfig, seed: int, sleeps: bool = False
    ) -> None:
        gpu = config.gpus_per_worker > 0
        os.environ.update(
            VLLM_ENABLE_V1_MULTIPROCESSING="0",  # the engine core runs in this process
            VLLM_LOGGING_LEVEL=os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
            VLLM_NO_USAGE_STATS="1",
        )
        with lean_imports():
            if config.enforce_eager and not gpu:
                import torch._dynamo
                from transformers import PretrainedConfig

                values, _ = PretrainedConfig.get_config_dict(model_path)
                # even in eager mode vLLM compiles its token-rank kernel
                torch._dynamo.config.disable |= values.get("vocab_size", FEW_TOKENS + 1) <= FEW_TOKENS
            from vllm.config.weight_transfer import WeightTransferConfig
            from vllm.engine.arg_utils import EngineArgs
            from vllm.v1.engine.llm_engine import LLMEngine

        if gpu:
            memory: dict[str, Any] = {"gpu_memory_utilization": config.gpu_memory_utilization}
        else:
            # a group shares its prompt in whole blocks; vLLM's default on the CPU is four times this size
            memory = {"kv_cache_memory_bytes": int(config.kv_cache_gib * 2**30), "block_size": 32}
        arguments = EngineArgs(
            model=model_path,
            dtype=config.dtype,
            max_model_len=max_length,
            max_num_seqs=config.max_num_seqs,
            max_num_batched_tokens=max(config.max_num_batched_tokens, max_length),
            tensor_parallel_size=max(config.gpus_per_worker, 1),
            enforce_eager=config.enforce_eager,
            seed=seed,
            # the distribution that is sampled from, after temperature and truncation
            logprobs_mode="processed_logprobs",
            # an unfinished step during a weight update would mix two versions
            async_scheduling=False,
            # after a partial prompt vLLM rewinds the random generator, which it cannot do on the CPU
            enable_chunked_prefill=gpu,
            weight_transfer_config=WeightTransferConfig(
                backend=("ipc" if sleeps else "nccl") if gpu else "rlvr_shared_memory"
            ),
            enable_sleep_mode=sleeps,
            logits_processors=None if gpu else ["rlvr.rollout.truncation:Truncation"],
            disable_log_stats=True,
            **memory,
        )
        self.engine = LLMEngine.from_engine_args(arguments)
        self.keep_stale_cache = config.keep_stale_cache
        self._stamp(0)
        self.tokenizer = self.engine.get_tokenizer()
        self.truncation = None if gpu else self._truncation()
        self.requests: dict[str, Request] = {}  # unfinished, by vLLM's request id
        self.submitted = 0
        self.steps = 0  # number of engine steps so far

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests; nothing is computed yet.

        If the engine is idle, the prefix cache is cleared: the last bits of results depend on what is
        computed together, and must not depend on what was computed before.
        """
        if requests and not self.requests:
            self.engine.reset_prefix_cache()
        for request in requests:
            self._add(request)

    def _add(self, request: Request) -> None:
        from vllm.inputs import TokensPrompt

        self.submitted += 1
        name = str(self.submitted)
        # so that cached prompts of other weights are not used
        prompt = TokensPrompt(prompt_token_ids=request.prompt, cache_salt=self.version)
        self.engine.add_request(name, prompt, self._params(request, name))
        self.requests[name] = request

    def _params(self, request: Request, name: str) -> Any:
        """vLLM's `SamplingParams`; `name` is vLLM's id of the request."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        asked = request.decoding
        if request.sampling_mask:
            from rlvr.rollout.truncation import ARGUMENT, Asked

            assert self.truncation is not None  # `sampling_messages`
            mine = Asked(name, asked.top_k or BOUND, request.top_p, asked.min_p or 0.0)
            truncated: dict[str, Any] = {"extra_args": {ARGUMENT: mine}}
        else:
            truncated = {"top_k": asked.top_k or 0, "top_p": request.top_p, "min_p": asked.min_p or 0.0}
        return SamplingParams(
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            min_tokens=asked.min_tokens or 0,
            stop=asked.stop,
            stop_token_ids=[*(asked.stop_token_ids or ()), *([] if request.end is None else [request.end])],
            repetition_penalty=asked.repetition_penalty or 1.0,
            presence_penalty=asked.presence_penalty or 0.0,
            frequency_penalty=asked.frequency_penalty or 0.0,
            seed=request.seed,
            logprobs=0,
            flat_logprobs=True,
            # the text is made here, from the tokens; vLLM needs its own only to look for stop strings in it
            detokenize=bool(asked.stop),
            skip_special_tokens=False,
            spaces_between_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **truncated,
        )

    def run(self, seconds: float, paused: Callable[[], bool] = lambda: False) -> list[Rollout]:
        """Do engine steps for `seconds`, until `paused()`, or until all is done. Returns what finished.

        An answer that vLLM breaks off is drawn again: it is neither an answer to learn from nor a wrong one.

        Raises:
            RlvrError: vLLM broke off an answer DRAWS times.
        """
        end = time.monotonic() + seconds
        finished: list[Rollout] = []
        while self.requests:
            known = self.engine.has_unfinished_requests()
            for output in self.engine.step() if known else ():
                request, completion = self.requests.pop(output.request_id), output.outputs[0]
                sets = self.truncation.take(output.request_id) if self.truncation else None
                if completion.finish_reason in FINISHED:
                    finished.append(self._rollout(request, completion, sets))
                else:
                    self._again(request, completion.finish_reason)
            if not known:  # vLLM dropped them without a word
                for name in list(self.requests):
                    if self.truncation:
                        self.truncation.take(name)
                    self._again(self.requests.pop(name), "nothing")
            self.steps += 1
            if time.monotonic() >= end or paused():
                break
        return finished

    def _truncation(self) -> Any:
        """vLLM's instance of `Truncation`, in this process."""
        from rlvr.rollout.truncation import Truncation

        def find(worker: Any) -> Truncation:
            processors = worker.model_runner.input_batch.logitsprocs.argmax_invariant
            return next(each for each in processors if isinstance(each, Truncation))

        (found,) = self.engine.collective_rpc(find)
        return found

    def _again(self, request: Request, reason: str | None) -> None:
        """Draw an answer again that vLLM broke off."""
        if request.draws == DRAWS:
            raise RlvrError(
                f"vLLM broke off the answer to problem {request.problem_id!r}, sample {request.sample}, "
                f"{DRAWS} times, and said {reason!r}; its log has the cause: set VLLM_LOGGING_LEVEL=INFO"
            )
        self._add(replace(request, draws=request.draws + 1))

    def _rollout(self, request: Request, completion: Any, sets: list[IntArray] | None) -> Rollout:
        drawn, reason = list(completion.token_ids), FINISHED[completion.finish_reason]
        size, start = len(request.prompt) + len(drawn), len(request.prompt)
        logprobs = np.zeros(size, dtype=np.float32)
        logprobs[start:] = [completion.logprobs.logprobs[i] for i in completion.logprobs.start_indices]
        versions = np.full(size, -1, dtype=np.int32)
        for span in completion.weight_versions:
            versions[start + span.start : start + span.end] = int(span.version)
        asked = request.decoding
        ends = [*(asked.stop or ()), *(asked.stop_token_ids or ())]
        mask = None
        assert request.sampling_mask == (sets is not None)
        if sets is not None:
            assert len(sets) == len(drawn), (len(sets), len(drawn))
            sizes = np.array([0] * start + [len(own) for own in sets], dtype=np.int32)
            mask = SamplingMask(np.concatenate(sets), sizes)
        return Rollout(
            problem_id=request.problem_id,
            step=request.step,
            sample=request.sample,
            seed=request.seed,
            tokens=np.array([*request.prompt, *drawn], dtype=np.int32),
            sampled=np.arange(size) >= start,
            logprobs=logprobs,
            versions=versions,
            text=drawn_text(
                drawn,
                reason,
                self.tokenizer,
                stop=completion.stop_reason if completion.stop_reason in (asked.stop or ()) else None,
                # no text keeps one of the model's own end tokens
                keep_end=bool(asked.include_stop_str_in_output) and completion.stop_reason in ends,
            ),
            finish_reason=reason,
            temperature=request.temperature,
            prompt_end=prompt_end(request.prompt, self.tokenizer),
            sampling_mask=mask,
        )

    def sleep(self) -> None:
        """Move the weights to host memory and free the GPU's; the engine must be idle."""
        self.engine.sleep(level=1)

    def wake_up(self, part: str) -> None:
        """Restore the GPU memory of the `weights` or of the `kv_cache`."""
        self.engine.wake_up([part])

    def init_weight_transfer(self, init_info: dict[str, Any]) -> None:
        """Set up the weight transfer with the learner (vLLM's protocol)."""
        self.engine.collective_rpc("init_weight_transfer_engine", args=(init_info,))

    def receive_weights(self, update_info: dict[str, Any], version: int) -> None:
        """Load new weights, and mark all later tokens with `version`.

        The KV cache of unfinished answers is recomputed, so that their next tokens are sampled exactly from
        the new policy given all before; with `keep_stale_cache` they continue on the old keys and values.
        """
        self.engine.collective_rpc("start_weight_update")
        self.engine.collective_rpc("update_weights", args=(update_info,))
        self.engine.collective_rpc("finish_weight_update")
        if not self.keep_stale_cache:
            self.engine.reset_prefix_cache(reset_running_requests=True)
        self._stamp(version)

    def load(self, model_path: str) -> None:
        """Load another checkpoint of the same shape (`model_shape`), on the CPU; the engine must be idle."""
        self.receive_weights({"path": model_path, "names": [], "dtypes": [], "shapes": [], "offsets": []}, 0)

    def _stamp(self, version: int) -> None:
        """Mark all later tokens with this policy version."""
        self.version = str(version)
        self.engine.set_weight_version(self.version)

    def weight_checksums(self) -> dict[str, int]:
        """CRC-32 of every tensor of the last update; empty if the transfer back-end keeps none."""
        (checksums, *_) = self.engine.collective_rpc(
            lambda worker: getattr(worker.weight_transfer_engine, "checksums", {})
        )
        return dict(checksums)
