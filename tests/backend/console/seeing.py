"""What a page is to those who cannot see it, and to those who see little: names, focus, contrast."""

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

CONTROLS = frozenset(
    {
        "button",
        "link",
        "textbox",
        "combobox",
        "spinbutton",
        "searchbox",
        "checkbox",
        "DisclosureTriangle",
        "meter",
    }
)

REACHABLE = """() => {
  const kinds = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled;
  return [...document.querySelectorAll(kinds)].filter(shown).map((e, at) => (e.dataset.walked = at));
}"""

FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { at: e.dataset.walked ?? null, ring, what: e.outerHTML.slice(0, 120) };
}"""

# WCAG 2's contrast of each text against what is painted below it. What is disabled is exempt.
POOR = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const below = (e) => {
    for (; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
      if (color[3]) throw new Error("a background that is half transparent");
    }
    return rgba(getComputedStyle(document.documentElement).colorScheme === "dark" ? "#000" : "#fff");
  };
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(":disabled, .unseen");
  const poor = [], seen = { texts: 0, edges: 0 };
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest("svg, datalist")) continue;
    const style = getComputedStyle(e);
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (own || "value" in e) {
      seen.texts += 1;
      const found = ratio(rgba(style.color), below(e));
      if (found < 4.5) poor.push([e.outerHTML.slice(0, 80), found]);
    }
    if (e.matches("input, textarea, select")) {
      seen.edges += 1;
      const found = ratio(rgba(style.borderTopColor), below(e.parentElement));
      if (found < 3) poor.push(["border of " + e.outerHTML.slice(0, 80), found]);
    }
  }
  return { poor, seen };
}"""


@dataclass(frozen=True, slots=True)
class Walk:
    """How one gets through a page by Tab: what is never reached, and where one does not see the focus."""

    reached: int
    missed: list[str]
    unseen: list[str]


async def walk(page: Page) -> Walk:
    """Press Tab from the page's beginning until the walk is round."""
    wanted = {str(at) for at in await page.evaluate(REACHABLE)}
    await page.evaluate("() => { document.activeElement.blur(); getSelection().removeAllRanges(); }")
    reached: list[str] = []
    unseen: list[str] = []
    for _ in range(2 * len(wanted) + 10):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        if focused["at"] is None or focused["at"] in reached:
            if set(reached) == wanted:
                break
            continue
        reached.append(focused["at"])
        if not focused["ring"]:
            unseen.append(focused["what"])
    missed = [
        str(await page.locator(f"[data-walked='{at}']").evaluate("(e) => e.outerHTML.slice(0, 120)"))
        for at in sorted(wanted - set(reached))
    ]
    return Walk(len(reached), missed, unseen)


async def nameless(page: Page) -> tuple[int, list[dict[str, Any]]]:
    """How many controls the accessibility tree has, and those without a name."""
    session = await page.context.new_cdp_session(page)
    nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    controls = [n for n in nodes if not n.get("ignored") and n.get("role", {}).get("value") in CONTROLS]
    return len(controls), [n for n in controls if not n.get("name", {}).get("value", "").strip()]
