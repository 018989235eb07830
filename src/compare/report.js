// Draws the charts that `data` describes, by uPlot, in the figures of the page. Knows nothing of
// transfers. Colours are those of Okabe and Ito, which the colour-blind tell apart.
"use strict";
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];
const font = "12px system-ui, sans-serif";
const css = name => () => getComputedStyle(document.documentElement).getPropertyValue(name);
const charts = [];

function number(v) {
    return v < .1 ? v.toPrecision(2) : v < 10 ? v.toFixed(2) : v < 100 ? v.toFixed(1) : v.toFixed(0);
}

const known = values => values.flat().filter(v => v > 0);

function decades(values) {
    const v = known(values);
    return v.length == 0 ? [.1, 1] : [10 ** Math.floor(Math.log10(Math.min(...v) * .999)),
                                     10 ** Math.ceil(Math.log10(Math.max(...v) * 1.001))];
}

// Ticks of a logarithmic axis: each decade; between them 2 and 5 where there are few.
function ticks(from, to) {
    const found = [], few = Math.log10(to / from) < 2.5;
    for (let e = Math.round(Math.log10(from)); 10 ** e <= to * 1.001; e++)
        for (const m of few ? [1, 2, 5] : [1])
            if (m * 10 ** e <= to * 1.001)
                found.push(+(m * 10 ** e).toPrecision(1));
    return found;
}

const axis = more => ({filter: (u, v) => v, stroke: css("--ink"), font, labelFont: "600 " + font, labelSize: 20,
                       grid: {stroke: css("--rule"), width: 1}, ticks: {stroke: css("--rule")}, ...more});
const plain = (u, v) => v.map(n => n == null ? "" : String(n));

function log_scale(values) {
    const range = decades(values);
    return {scale: {distr: 3, range}, axis: {splits: () => ticks(...range)}};
}

function text_width(text) {
    const c = document.createElement("canvas").getContext("2d");
    c.font = font;
    return c.measureText(text).width;
}

// What uPlot has no series for: range of the rounds, theory, the link's rate, figures.
function annotate(u, d) {
    const c = u.ctx, r = devicePixelRatio, x = v => u.valToPos(v, "y", true), y = i => u.valToPos(i, "x", true);
    const line = (x1, y1, x2, y2) => { c.beginPath(); c.moveTo(x1, y1); c.lineTo(x2, y2); c.stroke() };
    c.save();
    c.font = font.replace("12", 12 * r);
    c.textBaseline = "middle";
    c.textAlign = "left";
    d.values.forEach((v, i) => {
        if (v == null)
            return;
        c.strokeStyle = c.fillStyle = css("--ink")();
        c.lineWidth = 1.5 * r;
        if (d.least && d.most[i] > d.least[i]) {
            line(x(d.least[i]), y(i), x(d.most[i]), y(i));
            for (const end of [d.least[i], d.most[i]])
                line(x(end), y(i) - 4 * r, x(end), y(i) + 4 * r);
        }
        const right = Math.max(v, d.most ? d.most[i] : 0, (d.theory || [])[i] || 0);
        c.fillText(number(v), x(right) + 8 * r, y(i));
        if (d.theory && d.theory[i] != null) {
            c.strokeStyle = css("--theory")();
            c.lineWidth = 3 * r;
            line(x(d.theory[i]), y(i) - 13 * r, x(d.theory[i]), y(i) + 13 * r);
        }
    });
    if (d.limit) {
        c.strokeStyle = css("--soft")();
        c.setLineDash([5 * r, 4 * r]);
        line(x(d.limit), u.bbox.top, x(d.limit), u.bbox.top + u.bbox.height);
    }
    c.restore();
}

// Bars that lie: names of methods are long, and phones narrow.
function bars(e, d) {
    const ids = d.labels.map((_, i) => i), all = [d.values, d.theory || [], d.most || [], d.limit || []];
    const most = Math.max(0, ...known(all)), log = d.log ? log_scale(all) : {scale: {range: [0, most * 1.18 || 1]}};
    if (d.log)
        log.scale.range[1] *= 3; // room for the figures
    const width = Math.min(Math.max(...d.labels.flatMap(l => l.split("\n")).map(text_width)) + 16, 170);
    make(e, 34 * ids.length + 58, {
        scales: {x: {time: false, ori: 1, dir: -1, range: [-.6, ids.length - .4]}, y: {ori: 0, ...log.scale}},
        series: [{}, {label: "measured", stroke: css("--measured"), fill: css("--measured"),
                      paths: uPlot.paths.bars({size: [.55, 22]}), points: {show: false}}],
        axes: [axis({side: 3, size: width, splits: () => ids, values: (u, v) => v.map(i => d.labels[i] || ""),
                     grid: {show: false}, ticks: {show: false}}),
               axis({side: 2, label: d.unit, size: 34, values: plain, space: 60, ...log.axis})],
        legend: {show: false}, hooks: {draw: [u => annotate(u, d)]}, padding: [6, 12, 0, 0],
    }, [ids, d.values]);
}

// The names of values that have room beside each other. uPlot asks before it knows its own width.
function spaced(at, name, width, scale) {
    const f = scale.distr == 3 ? Math.log : v => v, [from, to] = scale.range.map(f);
    let last = -Infinity;
    return at.map(v => {
        const x = (f(v) - from) / (to - from) * (width - 80), text = name(v), half = text_width(text) / 2;
        if (x - half < last + 6)
            return "";
        last = x + half;
        return text;
    });
}

function lines(e, d) {
    const log = d.x.every(v => v > 0) && Math.max(...d.x) >= 20 * Math.min(...d.x);
    const y = log_scale(d.series.map(s => s.values)), x = log ? {distr: 3} : {};
    const margin = (Math.max(...d.x) - Math.min(...d.x)) * .04 || 1;
    if (log)
        x.range = [Math.min(...d.x) / 1.15, Math.max(...d.x) * 1.15];
    else
        x.range = [Math.min(...d.x) - margin, Math.max(...d.x) + margin];
    make(e, 380, {
        scales: {x: {time: false, ...x}, y: y.scale},
        series: [{}, ...d.series.map((s, i) => ({
            label: s.label, stroke: colours[(i >> 1) % colours.length], width: i & 1 ? 1.5 : 2.5,
            dash: i & 1 ? [6, 4] : [], spanGaps: true, class: i & 1 ? "hidden" : "shown",
            points: {show: !(i & 1), size: 8, fill: colours[(i >> 1) % colours.length]}}))],
        axes: [axis({label: d.key, splits: () => d.x,
                     values: (u, v) => spaced(v, n => d.names[d.x.indexOf(n)] || "", e.clientWidth, x)}),
               axis({label: d.unit, size: 56, values: plain, ...y.axis})],
        legend: {live: false},
    }, [d.x, ...d.series.map(s => s.values)]);
}

function make(e, height, options, data) {
    const width = () => Math.max(240, e.clientWidth);
    const chart = new uPlot({width: width(), height, cursor: {show: false}, ...options}, data, e);
    charts.push({draw: () => chart.setSize({width: width(), height})});
}

document.querySelectorAll(".chart").forEach((e, i) => (data[i].x ? lines : bars)(e, data[i]));
const redraw = () => charts.forEach(c => c.draw());
addEventListener("resize", redraw);
for (const query of ["print", "(prefers-color-scheme: dark)"])
    matchMedia(query).addEventListener("change", redraw);
