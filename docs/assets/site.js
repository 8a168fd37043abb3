// What the theme lacks for keyboards and screen readers: a name for the search, and tables and code that can be scrolled by keys.
const complete = () => {
  for (const search of document.querySelectorAll(".md-search:not([aria-label])")) {
    search.setAttribute("aria-label", "Search");
  }
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    wrap.setAttribute("tabindex", "0");
    wrap.setAttribute("role", "group");
    wrap.setAttribute("aria-label", "Table");
  }
  for (const code of document.querySelectorAll(".md-typeset pre > code")) {
    if (code.tabIndex !== 0) code.tabIndex = 0;
  }
};
complete();
new MutationObserver(complete).observe(document.body, {childList: true, subtree: true}); // the theme wraps tables later
