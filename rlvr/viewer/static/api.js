// The server's answers, and the state of the page, which is its address after the #.

export async function get(path, parameters = {}, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const response = await fetch(`/api/${path}?${query}`, { signal });
  const answer = await response.json();
  if (response.ok) return answer;
  const detail = answer.detail?.map?.((item) => `${item.loc.at(-1)}: ${item.msg}`).join("; ");
  throw new Error(answer.error ?? detail ?? `the server answered ${response.status}`);
}

export function readState() {
  const [page, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page: page || "rollouts", ...Object.fromEntries(new URLSearchParams(query)) };
}

export function link({ page, ...state }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  return `#/${page}?${query}`;
}

export function go(state, replace = false) {
  const hash = link(state);
  if (hash === location.hash) return;
  if (replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = hash;
  }
}

export const source = ({ run, stage, kind }) => ({ run, stage, kind });
