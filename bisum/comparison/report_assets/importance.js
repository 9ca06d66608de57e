"use strict";
// Bars of the importance of the settings that differ.

const FEW_SETTINGS = 20;

function importanceChart(importance, keys) {
  const all = Object.entries(importance?.shares ?? {}).filter(([, share]) => isNumber(share));
  if (!all.length) return null;
  const names = shortKeys([...new Set([...keys, ...all.map(([key]) => key)])]);
  const draw = (width, shown) => {
    const letters = width >= 640 ? 40 : 16;
    const items = shown.map(([key, share]) => ({ key, percent: 100 * share, text: `${fixed(100 * share, 0)}%` }));
    const labels = new Map(shown.map(([key]) => [key, short(names.get(key), letters)]));
    const longest = Math.max(...Array.from(labels.values(), (label) => label.length));
    return drawn({
      width,
      height: 50 + 28 * shown.length,
      marginTop: 6,
      marginLeft: 20 + 7 * longest,
      marginRight: 50,
      marginBottom: 42,
      ariaLabel: "Importance of each setting",
      x: { label: "importance (%) →", domain: [0, 100], grid: true, ticks: width >= 640 ? 10 : 5 },
      y: {
        domain: shown.map(([key]) => key),
        tickFormat: (key) => labels.get(key),
        tickSize: 0,
        label: null,
        padding: 0.35,
      },
      marks: [
        Plot.barX(items, { y: "key", x: "percent", fill: "var(--series-1)" }),
        Plot.ruleX([0], { stroke: "currentColor" }),
        Plot.text(items, { y: "key", x: "percent", text: "text", textAnchor: "start", dx: 6, fill: "currentColor" }),
        Plot.tip(
          items,
          Plot.pointerY({ y: "key", x: "percent", title: (item) => `${short(item.key, 120)}: ${item.text}` }),
        ),
      ],
    });
  };
  return growingChart("Importance of settings", "settings", all.slice(0, FEW_SETTINGS), all, draw);
}
