//! A chart as a picture that stands alone: every colour and font is in it, and it needs no style sheet, no pattern and
//! no name to resolve.

use fourways_shared::Technique;

use super::{
    Chart, Frame,
    mark::{Group, Look, Mark, number},
};

/// Stroke patterns by technique, as the style tokens have them: a picture knows no CSS variables.
const DASHES: [&str; 4] = ["2 3", "9 4", "none", "10 3 2 3"];
/// Space around the chart, in CSS pixels.
const MARGIN: f64 = 16.0;
/// Space above the chart, for the heading.
const HEADING: f64 = 60.0;

/// The colours and fonts of the theme in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inks {
    text: String,
    second: String,
    caption: String,
    grid: String,
    border: String,
    faint: String,
    inset: String,
    surface: String,
    danger: String,
    sans: String,
    mono: String,
    techniques: [String; 4],
}

impl Inks {
    /// Reads the colours and fonts through `token`, which returns the value of a CSS variable by its name, such as
    /// `--text`.
    pub fn read(token: &dyn Fn(&str) -> String) -> Self {
        let token = |name| escaped(token(name).trim());
        Self {
            text: token("--text"),
            second: token("--text-2"),
            caption: token("--text-3"),
            grid: token("--grid"),
            border: token("--border"),
            faint: token("--faint"),
            inset: token("--inset"),
            surface: token("--surface"),
            danger: token("--danger"),
            sans: token("--sans"),
            mono: token("--mono"),
            techniques: ["--short-poll", "--long-poll", "--sse", "--websocket"].map(token),
        }
    }

    /// Returns a look as SVG attributes.
    fn attributes(&self, look: Look, technique: Option<Technique>) -> String {
        let own = technique.map_or(&self.second, |technique| &self.techniques[technique.index()]);
        let stroke = |colour: &str, width: &str, rest: &str| {
            format!(r#"fill="none" stroke="{colour}" stroke-width="{width}"{rest}"#)
        };
        let fill = |colour: &str, opacity: &str| format!(r#"fill="{colour}" fill-opacity="{opacity}""#);
        let ring = |colour: &str| {
            let surface = &self.surface;
            format!(r#"fill="{surface}" stroke="{colour}" stroke-width="2""#)
        };
        let words = |font: &str, colour: &str, weight: &str| {
            format!(r#"font-family="{font}" fill="{colour}" font-weight="{weight}""#)
        };
        match look {
            Look::Grid => stroke(&self.grid, "1", ""),
            Look::Base => stroke(&self.border, "1", ""),
            Look::Line => {
                let dash = technique.map_or("none", |technique| DASHES[technique.index()]);
                stroke(own, "2", &format!(r#" stroke-linejoin="round" stroke-dasharray="{dash}""#))
            }
            Look::Edge => stroke(own, "1.1", ""),
            Look::Hatch => stroke(own, "1.6", ""),
            Look::EmptyHatch => stroke(&self.faint, "1.6", ""),
            Look::Cursor => stroke(&self.text, "1.2", ""),
            Look::Fault => stroke(&self.danger, "1", r#" stroke-dasharray="3 3""#),
            Look::FaultHatch => stroke(&self.danger, "2", r#" stroke-opacity=".28""#),
            Look::Dot => ring(own),
            Look::Crossing => ring(&self.text),
            Look::Solid => fill(own, "1"),
            Look::Tint => fill(own, ".34"),
            Look::Area => fill(own, ".2"),
            Look::Back => fill(own, ".15"),
            Look::EmptyBack => fill(&self.inset, "1"),
            Look::Tick => words(&self.mono, &self.caption, "400"),
            Look::Code => words(&self.sans, own, "600"),
            Look::Value => words(&self.mono, own, "400"),
            Look::Strong => words(&self.mono, &self.text, "600"),
            Look::Caption => words(&self.sans, &self.second, "400"),
            Look::FaultText => words(&self.sans, &self.danger, "600"),
        }
    }
}

/// Returns the chart as an SVG document with its heading.
pub fn svg_text(chart: &Chart, title: &str, about: &str, frame: Frame, inks: &Inks) -> String {
    let width = number(frame.width + MARGIN * 2.0);
    let height = number(chart.drawing().height(frame) + HEADING + MARGIN);
    let (title, about) = (escaped(title), escaped(about));
    let Inks { text, caption, surface, sans, .. } = inks;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title>{title}</title>
<rect width="{width}" height="{height}" fill="{surface}"/>
<text x="16" y="25" font-family="{sans}" font-size="13" font-weight="600" fill="{text}">{title}</text>
<text x="16" y="42" font-family="{sans}" font-size="11" fill="{caption}">{about}</text>
<g transform="translate({} {})" font-size="11">
"#,
        number(MARGIN),
        number(HEADING)
    );
    for Group { technique, marks } in chart.groups(frame) {
        for mark in marks {
            svg += &element(&mark, technique, inks);
        }
    }
    svg + "</g>\n</svg>\n"
}

fn element(mark: &Mark, technique: Option<Technique>, inks: &Inks) -> String {
    match mark {
        Mark::Path { look, d } => format!("<path d=\"{d}\" {}/>\n", inks.attributes(*look, technique)),
        Mark::Text { look, anchor, x, y, text } => {
            let (x, y, anchor) = (number(*x), number(*y), anchor.name());
            let (attributes, text) = (inks.attributes(*look, technique), escaped(text));
            format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" {attributes}>{text}</text>\n")
        }
    }
}

/// Escapes a text for XML, in elements and in attributes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
