"""The dashboard: pages that the query port makes, at `/dashboard`.

A page is sent at once, as HTML; its panels are fetched side by side from addresses of their own, each an HTML fragment; charts are SVG
that is drawn here. Scripts are small modules of ours that enhance what is there. Nothing comes from elsewhere, nothing is inline, and
the policy of every answer says so. What a view shows is in its address (`state.View`).

**A page of one's own**, say Cache:

1. A module `cache.py` with `PAGE = Page(name="cache", title="Cache", path="cache", key="h", icon="cache", panels=(...))`, and a line
   for it in `pages.py`. Icons are in `templates/icons.html`. `own=("sort",)` names the parameters that it takes beside the shared ones;
   anything else in its address is told to be unknown. They are read by `asking.view.get("sort")`, and `view.all(name)` where one may
   come often.
2. A panel is `Panel(name=..., title=..., template="cache_hits.html", draw=draw, size="half", csv=question)`. `async def draw(asking)`
   gives what the template shows. Figures over calls are questions made in `figures.py`, where `within(view, period)` holds the filters;
   they are asked by `await asking.rows(question)`, or `await asking.all_rows(a, b)` at once: the caller's organization is bound,
   decimals are exact, and the question ends when the browser gives up. `Refused` needs no care: the panel says what was refused, with a
   button to ask again.
3. Its template extends nothing. It is given `asking`, `view`, `links`, `panel`, `page`, `csv` and what `draw` gave; `Filter` too.
   Filters of Jinja write numbers with their units: `{{ x|money }}`, `count`, `duration` (ms), `size`, `percent`. `links.to("calls",
   Filter("user", name))` leads to another page with one filter more, `links.narrowed(field, value, key)` narrows this one,
   `links.own(sort="cost")` sets a parameter of the page's own. `{% from "chart.html" import chart, spark with context %}` draws what
   `charts.lines`, `charts.stacked`, `charts.histogram` and `charts.sparkline` made, `{% from "ranking.html" import ranking with context
   %}` what `ranked.ranked` made.
4. A page that is more than a grid of panels has a `template` that extends `base.html` and places panels by `place` of `panel.html`, and
   may have `shell`, which gives more for it and asks nothing that takes time. A path may have parts, `calls/{call_id}`: the page finds
   them in `asking.request.path_params`, its panels in `asking.view.get("call_id")`; write `asking.part("call_id")` for both.
5. Scripts: `static/NAME.js`, a module, named in the page's template in the block `scripts` (with `{{ super() }}`). Listen on `document`
   for clicks, and for `panel`, which bubbles from a panel that was filled. Never set `style=`: the policy forbids it; `element.style.x
   = …` is fine. `import { send } from "./session.js"`: `send("POST", "/v1/request/ID/feedback", {rating: true})` writes in the caller's
   name, if the page's `sends` lists `POST /v1/request/{id}/feedback`. `import { arrivals } from "./live.js"` tells of new calls.
6. What a page answers beside its panels, a file or a stream, is `Own(name=..., answer=answer)` among its `answers`, at
   `/dashboard/own/PAGE/NAME`; `links.answer(NAME)` is its address. `async def answer(asking, hands)` gives a response; `hands.render`
   writes a template, `hands.again()` judges the caller anew, which what goes on for long does before each look.
   `streams.streamed` sends events.
7. Styles: `static/dashboard.css` holds what is shared, with colours as variables (`--ink`, `--card`, `--t1`…); a page's own go into
   `static/NAME.css`, linked in its template's block `scripts`.
"""
