//! The picture in the documentation: CPU per request, a bar for each load and server.

use std::fmt::Write as _;

use super::measured::Measured;
use super::plan::Load;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 210.0;
const ROW: f64 = 18.0;
const COLOURS: [&str; 4] = ["#2b6cb0", "#90cdf4", "#a0aec0", "#cbd5e0"];

/// Draws it; the lengths are logarithmic, since a list costs a thousand times what a HEAD does.
pub(super) fn svg(all: &[&Measured]) -> String {
    let mut servers: Vec<&str> = all.iter().map(|measured| measured.server.as_str()).collect();
    servers.dedup();
    let mut loads: Vec<Load> = all.iter().map(|measured| measured.load).collect();
    loads.sort_by_key(|load| all.iter().position(|measured| measured.load == *load));
    loads.dedup();
    let most = all.iter().map(|measured| measured.cpu_us()).fold(10.0, f64::max).log10();
    let height = (all.len() + loads.len() + 1) as f64 * ROW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n<text x=\"8\" y=\"13\">CPU µs per request, all processes together \
         (logarithmic)</text>\n"
    );
    let mut y = ROW * 1.5;
    for load in loads {
        for measured in all.iter().filter(|measured| measured.load == load) {
            let colour = servers.iter().position(|server| *server == measured.server).unwrap_or(0);
            let colour = COLOURS[colour % COLOURS.len()];
            let cpu = measured.cpu_us().max(1.0);
            let bar = (WIDTH - LEFT - 80.0) * cpu.log10() / most;
            let (label, text, end) = (LEFT - 8.0, y + 12.0, LEFT + bar + 6.0);
            let server = &measured.server;
            let _ = writeln!(
                svg,
                "<text x=\"{label}\" y=\"{text}\" text-anchor=\"end\">{load}, {server}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{bar:.1}\" height=\"14\" fill=\"{colour}\"/>\
                 <text x=\"{end:.1}\" y=\"{text}\">{cpu:.0}</text>"
            );
            y += ROW;
        }
        y += ROW * 0.5;
    }
    svg.push_str("</svg>\n");
    svg
}
