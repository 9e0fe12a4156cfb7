// Pages work without this. It spares reloads: what is marked data-live is fetched and put in its place.

const put = (id, page) => {
  const fresh = page.getElementById(id);
  const present = document.getElementById(id);
  if (fresh && present) present.replaceWith(fresh);
  return fresh;
};

const fetchPage = async (url) => {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (answer.redirected && new URL(answer.url).pathname.endsWith("/sign-in")) location.assign(answer.url);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};

// <div id data-poll="2">: looked at again every so many seconds, until a fresh one has no data-poll.
const poll = (element) => {
  const seconds = Number(element?.dataset.poll);
  if (!seconds) return;
  setTimeout(async () => {
    let fresh = element;
    try {
      fresh = put(element.id, await fetchPage(location.href)) || element;
    } catch {
      // The server may be starting anew; the next look tells.
    }
    poll(fresh);
  }, seconds * 1000);
};
document.querySelectorAll("[data-poll]").forEach(poll);

// <form data-live="id"> and <a data-live="id">: only that part of the page is replaced.
const follow = async (url, id) => {
  const page = await fetchPage(url);
  const fresh = put(id, page);
  if (!fresh) return location.assign(url);
  history.pushState(null, "", url);
  document.getElementById("spoken").textContent = fresh.dataset.spoken || "";
  fresh.querySelector("[data-focus]")?.focus();
};

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) return event.preventDefault();
  if (!form.dataset.live) return;
  event.preventDefault();
  follow(`${form.action}?${new URLSearchParams(new FormData(form))}`, form.dataset.live);
});

document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-copy], a[data-live], [data-theme-switch]");
  if (!target) return;
  if (target.dataset.live) {
    event.preventDefault();
    follow(target.href, target.dataset.live);
  } else if (target.dataset.copy) {
    await navigator.clipboard.writeText(document.getElementById(target.dataset.copy).textContent);
    target.textContent = target.dataset.done;
  } else {
    const dark = document.documentElement.dataset.bsTheme === "dark";
    localStorage.setItem("recsvc-theme", dark ? "light" : "dark");
    dress();
  }
});
addEventListener("popstate", () => location.reload());
