// Asking the server: JSON out, JSON in; what it refuses is an Error with its code.
export async function post(address, body = {}) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error), { code: told.code, status: answer.status, told });
  return told;
}

export function say(text) {
  document.getElementById("said").textContent = text;
}
