from rlvr import verify as verify
from rlvr.commands.api import Run as Run
from rlvr.commands.api import recipe as recipe
from rlvr.commands.api import train as train
from rlvr.rewards.config import RewardConfig as RewardConfig
from rlvr.rewards.service import RewardService as RewardService
from rlvr.types import Group as Group
from rlvr.types import Problem as Problem
from rlvr.types import Rollout as Rollout
from rlvr.types import Status as Status
from rlvr.types import Verdict as Verdict

__version__: str
