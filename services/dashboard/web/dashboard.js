"use strict";

const refreshMilliseconds = 5000;

function text(className, value) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = value;
  return element;
}

function row(service) {
  const item = document.createElement("li");
  item.className = service.up ? "up" : "down";
  item.append(
    text("name", service.name),
    text("state", service.up ? "up" : "down"),
    text("detail", `${service.detail} · ${service.milliseconds} ms`),
    text("since", `since ${new Date(service.since).toLocaleString()}`),
  );
  return item;
}

async function refresh() {
  const summary = document.getElementById("summary");
  try {
    const answer = await fetch("/api/services", { headers: { Accept: "application/json" } });
    if (!answer.ok) {
      throw new Error(`${answer.status} ${answer.statusText}`);
    }
    const { services } = await answer.json();
    const down = services.filter((service) => !service.up).length;
    summary.textContent = services.length === 0 ? "Nothing is watched yet."
      : down === 0 ? "All services are up." : `${down} of ${services.length} down.`;
    document.getElementById("services").replaceChildren(...services.map(row));
  } catch (error) {
    summary.textContent = `The dashboard does not answer: ${error.message}`;
  }
  setTimeout(refresh, refreshMilliseconds);
}

refresh();
