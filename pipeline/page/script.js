"use strict";
// Sorts and filters the table of a run's page. Without it the page reads the same, the gravest verdict first.
// Of a long table the first rows are shown until more is asked for: laying all of them out takes seconds.
document.documentElement.classList.add("scripted");
document.addEventListener("DOMContentLoaded", () => {
  const table = document.getElementById("files");
  const STEP = Number(table.dataset.first);
  const body = table.tBodies[0];
  const headings = Array.from(table.tHead.rows[0].cells);
  const controls = document.getElementById("controls");
  const find = document.getElementById("find");
  const shown = document.getElementById("shown");
  const further = document.getElementById("further");
  const all = document.getElementById("all");
  const collator = new Intl.Collator("en", { numeric: true });
  const total = shown.textContent;
  const lines = Array.from(body.rows, (row, place) => ({ row, place, words: null }));
  // Which way a column is sorted first, and the words for its two ways.
  const ways = {
    verdict: ["descending", "the gravest first", "the least grave first"],
    name: ["ascending", "from Z to A", "from A to Z"],
    score: ["descending", "the highest first", "the lowest first"],
    reason: ["ascending", "from Z to A", "from A to Z"],
    duration: ["descending", "the longest first", "the shortest first"],
    faces: ["descending", "the most first", "the fewest first"],
  };
  // What a line is compared by.
  const keys = {
    verdict: (line) => -line.place,
    name: (line) => line.row.cells[1].querySelector("bdi").textContent,
    score: (line) => number(line.row.cells[2]),
    reason: (line) => line.row.cells[3].textContent,
    duration: (line) => number(line.row.cells[4]),
    faces: (line) => number(line.row.cells[5]),
  };
  let order = lines;
  let limit = STEP;
  let sorted = "";

  function number(cell) {
    return cell.dataset.key === "" ? null : Number(cell.dataset.key);
  }

  function compare(a, b) {
    if (a === null || b === null) return 0;
    return typeof a === "string" ? collator.compare(a, b) : a - b;
  }

  // A number that is not there comes last, whichever way.
  function sort(column, way) {
    const sign = way === "ascending" ? 1 : -1;
    const keyed = lines.map((line) => [keys[column](line), line]);
    keyed.sort(([a, one], [b, other]) =>
      (a === null) - (b === null) || sign * compare(a, b) || one.place - other.place);
    order = keyed.map(([, line]) => line);
    // Rows change their places while they are out of the page: within it each move would be laid out.
    body.remove();
    body.append(...order.map((line) => line.row));
  }

  function press(heading) {
    const way = heading.getAttribute("aria-sort");
    const [first, down, up] = ways[heading.dataset.sort];
    const next = way === null ? first : way === "ascending" ? "descending" : "ascending";
    for (const other of headings) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", next);
    sorted = `, sorted by ${heading.textContent.toLowerCase()}, ${next === "ascending" ? up : down}`;
    sort(heading.dataset.sort, next);
    limit = STEP;
    show();
    table.append(body);
  }

  function fits(line, kind, wanted) {
    if (kind && !line.row.classList.contains(kind)) return false;
    if (!wanted) return true;
    line.words ??= line.row.textContent.toLowerCase();
    return line.words.includes(wanted);
  }

  function show() {
    const kind = controls.querySelector("input[name=show]:checked").value;
    const wanted = find.value.trim().toLowerCase();
    let count = 0;
    for (const line of order) {
      const fit = fits(line, kind, wanted);
      count += fit;
      line.row.hidden = !fit;
      line.row.classList.toggle("more", fit && count > limit);
    }
    tell(count);
  }

  function tell(count) {
    const some = count === 0 ? "None of " : count < lines.length ? `${count.toLocaleString("en")} of ` : "";
    const cut = count > limit ? `, the first ${limit.toLocaleString("en")} shown` : "";
    shown.textContent = some + total + sorted + cut;
    further.hidden = count <= limit;
  }

  for (const heading of headings) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => press(heading));
    heading.append(button);
  }
  let waiting = 0;
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      limit = STEP;
      show();
    }, 150);
  });
  controls.addEventListener("change", () => {
    limit = STEP;
    show();
  });
  all.addEventListener("click", () => {
    // The first row that was not there takes the focus, which would otherwise go with the button.
    const next = order.find((line) => line.row.classList.contains("more"));
    limit = Infinity;
    show();
    const place = next.row.querySelector("a, summary");
    if (place) place.focus();
  });
  controls.hidden = false;
  if (lines.length > STEP) show();
});
