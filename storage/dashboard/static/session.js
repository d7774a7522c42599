// Writes in the name of whoever signed in, and signing out.
const { base, token } = document.body.dataset;

/** Sends on to an endpoint of the API, such as `send("POST", "/v1/request/ID/feedback", {rating: true})`. */
export function send(method, path, body, signal) {
  return written(`${base}/send${path}`, method, body, signal);
}

export function written(address, method, body, signal) {
  const headers = { "x-heliograph-token": token };
  if (body !== undefined) headers["content-type"] = "application/json";
  return fetch(address, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
}

document.querySelector("[data-sign-out]")?.addEventListener("click", async () => {
  const answer = await written(`${base}/sign-out`, "POST", {});
  if (answer.ok) location.assign((await answer.json()).next);
});
