// Counts at every threshold, from how many samples have which score: the server is asked once.
const { safe, unsafe, threshold } = JSON.parse(document.getElementById("scores").textContent);
const slider = document.getElementById("threshold");
const bins = Number(slider.max);
const $ = (id) => document.getElementById(id);
const from = (counts) => {
  const sums = new Array(bins + 2).fill(0);
  for (let bin = bins; bin >= 0; bin--) sums[bin] = sums[bin + 1] + counts[bin];
  return sums;
};
const flaggedSafe = from(safe);
const flaggedUnsafe = from(unsafe);
const share = (part, whole) => (whole ? (part / whole).toFixed(3) : "–");

function show() {
  const bin = Number(slider.value);
  const at = bin / bins;
  const tp = flaggedUnsafe[bin];
  const fp = flaggedSafe[bin];
  const fn = flaggedUnsafe[0] - tp;
  const tn = flaggedSafe[0] - fp;
  $("at").textContent = at.toFixed(3);
  for (const [name, count] of Object.entries({ tp, fp, fn, tn })) {
    $(name).textContent = count.toLocaleString("en");
    $(name).href = `/gallery?${slider.dataset.view}&error=${name}&threshold=${at}`;
  }
  $("precision").textContent = share(tp, tp + fp);
  $("recall").textContent = share(tp, tp + fn);
  $("f1").textContent = share(2 * tp, 2 * tp + fp + fn);
  $("fpr").textContent = share(fp, fp + tn);
  $("accuracy").textContent = share(tp + tn, tp + tn + fp + fn);
  draw(at);
}

function draw(at) {
  const canvas = $("histogram");
  const pen = canvas.getContext("2d");
  const ink = getComputedStyle(document.body);
  const columns = 100;
  const gather = (counts) => counts.reduce((sums, count, bin) => {
    sums[Math.min(columns - 1, Math.floor((bin * columns) / bins))] += count;
    return sums;
  }, new Array(columns).fill(0));
  const both = [[gather(safe), "--safe"], [gather(unsafe), "--unsafe"]];
  const most = Math.log1p(Math.max(1, ...both[0][0], ...both[1][0]));
  const width = canvas.width / columns;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  both.forEach(([sums, colour], side) => {
    pen.fillStyle = ink.getPropertyValue(colour);
    sums.forEach((count, column) => {
      const height = (canvas.height * Math.log1p(count)) / most;
      pen.fillRect(column * width + (side * width) / 2, canvas.height - height, width / 2 - 0.5, height);
    });
  });
  pen.fillStyle = ink.color;
  pen.fillRect(at * canvas.width - 1, 0, 2, canvas.height);
}

slider.value = Math.ceil(threshold * bins - 1e-9);
slider.addEventListener("input", show);
show();
