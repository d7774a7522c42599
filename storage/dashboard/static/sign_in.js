// Sends the key, and goes to where the person wanted to.
import { written } from "./session.js";

const form = document.querySelector("[data-sign-in]");
const problem = form.querySelector(".problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  problem.hidden = true;
  try {
    const answer = await written(`${document.body.dataset.base}/sign-in`, "POST", { key: form.elements.key.value, next: form.dataset.next });
    const said = await answer.json();
    if (answer.ok) { location.assign(said.next); return; }
    problem.textContent = `${said.error.message} ${said.error.fix}`;
  } catch {
    problem.textContent = "The server was not reached.";
  }
  problem.hidden = false;
  button.disabled = false;
});
