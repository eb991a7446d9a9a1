// Invented documents for the in-memory backend. Synthetic, and only ever seen in development and tests.

export type Page = { name: string; title: string; blocks: Block[]; tags: string[] };
export type Block =
  | { h: 2 | 3; text: string }
  | { p: string }
  | { list: string[] }
  | { code: string }
  | { table: string[][] };

const pages: Page[] = [
  {
    name: "solar-panels.md",
    title: "How solar panels age",
    tags: ["energy", "solar"],
    blocks: [
      {
        p: "A solar panel loses about half a percent of its output each year. Most of the loss comes from light-induced changes in the first months and from slow corrosion afterwards.",
      },
      { h: 2, text: "What the field data say" },
      {
        p: "Long series from test sites agree within a narrow band once the data are cleaned of soiling, snow and inverter faults. See the [measuring guide](https://example.org/docs/measuring) for the method.",
      },
      {
        table: [
          ["Technology", "Median loss per year", "Sites"],
          ["Monocrystalline", "0.48 %", "1,204"],
          ["Polycrystalline", "0.61 %", "988"],
          ["Thin film", "0.89 %", "311"],
        ],
      },
      { h: 2, text: "Causes" },
      {
        list: [
          "Light-induced degradation in the first weeks",
          "Corrosion of the contacts where moisture gets in",
          "Cracks from hail, snow and careless feet",
        ],
      },
      { h: 3, text: "Moisture" },
      {
        p: "Panels by the sea fare worse. A glass back keeps moisture out better than a polymer sheet, at the price of weight.",
      },
      { h: 2, text: "Recomputing the loss" },
      {
        p: "The loss is the slope of a robust line through the yearly ratios, as for [turbines](https://example.org/docs/wind-farms/):",
      },
      {
        code: 'ratios = clean(series).yearly_ratio()\nloss = theil_sen(ratios).slope\nprint(f"{loss:.2%} per year")',
      },
      {
        p: "A robust line matters: one year of snow bends an ordinary least-squares fit by more than the whole effect.",
      },
    ],
  },
  {
    name: "wind-farms.md",
    title: "Wind farms and their wakes",
    tags: ["energy", "wind"],
    blocks: [
      {
        p: "A turbine takes energy out of the wind, and the next one in the row feels it. Wakes cost an offshore farm between five and fifteen percent of its yield.",
      },
      { h: 2, text: "Spacing" },
      {
        p: "Seven rotor diameters along the main wind direction and five across it is the usual compromise between cable length and loss.",
      },
      { h: 2, text: "Steering the wake" },
      {
        p: "Turning a turbine a few degrees off the wind sends its wake past the next one. The first loses a little, the second gains more.",
      },
    ],
  },
  {
    name: "heat-pumps.html",
    title: "Heat pumps in old houses",
    tags: ["energy", "heating"],
    blocks: [
      {
        p: "The question is not the age of the house but the temperature that its radiators need on the coldest day.",
      },
      { h: 2, text: "Measure first" },
      {
        list: [
          "Lower the boiler to 55 °C for a week in January",
          "Note which rooms stay warm",
          "Replace only the radiators of the others",
        ],
      },
    ],
  },
  {
    name: "notes/reading-list.txt",
    title: "Reading list",
    tags: ["notes"],
    blocks: [
      { p: "Books and papers to get to this winter, most urgent first." },
      {
        list: [
          "The grid, explained to people who pay for it",
          "Storage: a field guide",
          "Forecasting demand with little data",
        ],
      },
    ],
  },
  {
    name: "grid/frequency.md",
    title: "Why fifty hertz",
    tags: ["energy", "grid"],
    blocks: [
      {
        p: "The frequency of the grid tells everyone at once whether supply meets demand. It falls when there is too little and rises when there is too much.",
      },
      { h: 2, text: "Reserve" },
      {
        p: "Within seconds, batteries and turbines push against any change. Minutes later slower plants take over.",
      },
    ],
  },
  {
    name: "storage/batteries.pdf",
    title: "Batteries at grid scale",
    tags: ["energy", "storage"],
    blocks: [
      {
        p: "Four hours of storage shift the midday peak of solar into the evening. More hours cost nearly in proportion.",
      },
      { h: 2, text: "Wear" },
      { p: "A battery wears with every cycle and with every month. Keeping it half full is kind to it." },
    ],
  },
];

const topics = [
  "Demand forecast",
  "Substation log",
  "Tariff review",
  "Metering note",
  "Site visit",
  "Price history",
  "Interview",
  "Draft",
];

/** The n-th document; from the seventh on they are made up of short, similar notes. */
export function page(n: number): Page {
  const written = pages[n];
  if (written) return written;
  const topic = topics[n % topics.length] ?? "Note";
  return {
    name: `archive/${topic.toLowerCase().replace(" ", "-")}-${n}.md`,
    title: `${topic} ${n}`,
    tags: ["archive", n % 3 === 0 ? "energy" : "notes"],
    blocks: [
      {
        p: `${topic} number ${n}. Demand at the northern substations stayed ${n % 2 ? "below" : "above"} the forecast, and the solar share reached ${10 + (n % 25)} percent at noon.`,
      },
      { h: 2, text: "Follow-up" },
      { p: "Compare with last year's series before drawing anything from it." },
    ],
  };
}

export function toMarkdown(page: Page): string {
  const parts = page.blocks.map((block) => {
    if ("h" in block) return `${"#".repeat(block.h)} ${block.text}`;
    if ("p" in block) return block.p;
    if ("list" in block) return block.list.map((item) => `- ${item}`).join("\n");
    if ("code" in block) return `\`\`\`python\n${block.code}\n\`\`\``;
    const [head = [], ...rows] = block.table;
    const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
    return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
  });
  return `# ${page.title}\n\n${parts.join("\n\n")}\n`;
}

const escaped = (s: string) => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const inline = (s: string) =>
  escaped(s).replace(/\[([^\]]+)\]\(([^)]+)\)/g, '<a href="$2" rel="noopener noreferrer nofollow">$1</a>');

export function toHtml(page: Page): string {
  const parts = page.blocks.map((block) => {
    if ("h" in block) return `<h${block.h}>${inline(block.text)}</h${block.h}>`;
    if ("p" in block) return `<p>${inline(block.p)}</p>`;
    if ("list" in block) return `<ul>${block.list.map((item) => `<li>${inline(item)}</li>`).join("")}</ul>`;
    if ("code" in block) return `<pre><code class="language-python">${escaped(block.code)}</code></pre>`;
    const [head = [], ...rows] = block.table;
    const row = (cells: string[], tag: "th" | "td") =>
      `<tr>${cells.map((cell) => `<${tag}>${inline(cell)}</${tag}>`).join("")}</tr>`;
    return `<table><thead>${row(head, "th")}</thead><tbody>${rows.map((cells) => row(cells, "td")).join("")}</tbody></table>`;
  });
  return `<h1>${escaped(page.title)}</h1>${parts.join("")}`;
}

/** The words of a page, for search. */
export function toText(page: Page): string {
  return page.blocks
    .map((block) => {
      if ("h" in block) return block.text;
      if ("p" in block) return block.p.replace(/\[([^\]]+)\]\([^)]+\)/g, "$1");
      if ("list" in block) return block.list.join(". ");
      if ("code" in block) return block.code;
      return block.table.flat().join(" ");
    })
    .join(" ");
}
