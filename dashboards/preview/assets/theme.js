// Runs before the first paint: a chosen theme goes before that of the system.
(() => {
  const chosen = localStorage.getItem('usher-theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
