//! The promises that every chart keeps.

use fourways_shared::Technique;

use super::{mark::Anchor, *};

const WIDE: Frame = Frame { width: 470.0, hidden: [false; 4] };
const NARROW: Frame = Frame { width: 300.0, hidden: [false; 4] };
const WITHOUT_SP: Frame = Frame { width: 470.0, hidden: [true, false, false, false] };

fn series(of: impl Fn(usize, u32) -> (f64, f64), points: u32) -> Vec<Line> {
    let line =
        |technique: Technique| Line::of(technique, (0..points).map(|at| of(technique.index(), at)).collect());
    Technique::ALL.map(line).to_vec()
}

fn percentiles() -> LineChart {
    // Three of the lines end at nearly the same value.
    let of = |place: usize, at: u32| {
        let ends = [6280.0, 1300.0, 1310.0, 1320.0];
        (10_f64.powf(f64::from(at) / 40.0), 20.0 + (ends[place] - 20.0) * f64::from(at) / 80.0)
    };
    LineChart {
        x: Side { name: "percentile", unit: Unit::Rank, kind: Kind::Log, span: Some((1.0, 100.0)) },
        y: Side { name: "latency", unit: Unit::Milliseconds, kind: Kind::Log, span: None },
        lines: series(of, 81),
        flags: vec![],
        marker: None,
    }
}

fn costs() -> LineChart {
    let of = |place: usize, at: u32| {
        let clients = 10_f64.powi(at.cast_signed() + 1);
        (clients, [clients, clients / 2.0, 1000.0, 1000.0][place])
    };
    LineChart {
        x: Side { name: "clients", unit: Unit::Count, kind: Kind::Log, span: Some((10.0, 1e6)) },
        y: Side { name: "requests", unit: Unit::PerSecond, kind: Kind::Log, span: None },
        lines: series(of, 6),
        flags: vec![],
        marker: Some(5000.0),
    }
}

fn behind() -> Strips {
    let of =
        |place: usize, at: u32| (f64::from(at) / 50.0, f64::from(at % 100) * [20.0, 1.0, 2.0, 0.0][place]);
    Strips {
        x: Side { name: "time", unit: Unit::Seconds, kind: Kind::Linear, span: Some((0.0, 60.0)) },
        unit: Unit::Milliseconds,
        lines: series(of, 3001),
        flags: vec![Flag { from: 33.0, to: 33.0, label: "server restart".to_owned() }],
    }
}

fn spent() -> Bars {
    let parts = [
        [140.0, 0.0, 210.0, 153.0],
        [140.0, 0.0, 608.0, 0.0],
        [140.0, 30.0, 24.0, 0.0],
        [140.0, 4.0, 41.0, 0.0],
    ];
    let bars = Technique::ALL.map(|technique| Bar { technique, parts: parts[technique.index()] });
    Bars {
        unit: Unit::Bytes,
        parts: &["payload", "framing", "HTTP headers", "empty polls"],
        bars: bars.to_vec(),
    }
}

fn all() -> [Chart; 4] {
    [Chart::Lines(percentiles()), Chart::Lines(costs()), Chart::Strips(behind()), Chart::Bars(spent())]
}

/// Returns every text with its left edge, its right edge and its base line.
fn texts(groups: &[Group]) -> Vec<(f64, f64, f64, &str)> {
    let mut found = Vec::new();
    for mark in groups.iter().flat_map(|group| &group.marks) {
        if let Mark::Text { anchor, x, y, text, .. } = mark {
            let width = count::count(text.chars().count()) * series::CHARACTER;
            let left = match anchor {
                Anchor::Start => *x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            found.push((left, left + width, *y, text.as_str()));
        }
    }
    found
}

#[test]
fn no_text_leaves_the_chart_or_lies_on_another() {
    for (chart, frame) in
        all().iter().flat_map(|chart| [WIDE, NARROW, WITHOUT_SP].map(|frame| (chart, frame)))
    {
        let (groups, height) = (chart.drawing().groups(frame), chart.drawing().height(frame));
        let texts = texts(&groups);
        assert!(texts.len() > 8, "{texts:?}");
        for (at, one) in texts.iter().enumerate() {
            assert!(one.0 >= -0.1 && one.1 <= frame.width + 0.1, "{one:?} in {frame:?}");
            assert!(one.2 >= 8.0 && one.2 <= height, "{one:?} of {height}");
            for other in &texts[at + 1..] {
                let apart = one.1 <= other.0 || other.1 <= one.0 || (one.2 - other.2).abs() >= 11.0;
                assert!(apart, "{one:?} on {other:?} in {frame:?}");
            }
        }
    }
}

#[test]
fn the_last_technique_can_not_be_hidden() {
    let mut hidden = [true, true, true, false];
    toggle(&mut hidden, Technique::Websocket);
    assert_eq!(hidden, [true, true, true, false]);
    toggle(&mut hidden, Technique::ShortPoll);
    assert_eq!(hidden, [false, true, true, false]);
}

#[test]
fn keys_move_the_cursor_and_stop_at_the_ends() {
    let bars = Chart::Bars(spent());
    let by = |key, here| bars.stop_by(WIDE, key, here);
    assert_eq!([by("ArrowDown", None), by("ArrowUp", None)], [Some(0), Some(3)]);
    assert_eq!([by("ArrowRight", Some(3)), by("ArrowLeft", Some(0))], [Some(3), Some(0)]);
    assert_eq!([by("Home", Some(2)), by("End", Some(2)), by("a", Some(2))], [Some(0), Some(3), None]);
    // Techniques were hidden while the chart cursor stood behind them.
    let fewer = Frame { hidden: [true, true, true, false], ..WIDE };
    assert_eq!(bars.stop_by(fewer, "ArrowUp", Some(3)), Some(0));
    let strips = Chart::Strips(behind());
    assert_eq!(strips.stop_by(WIDE, "ArrowRight", Some(0)), Some(30), "a hundred presses cross 3001 moments");
    assert_eq!(strips.stop_by(WIDE, "ArrowDown", Some(0)), None, "the page scrolls");
}

#[test]
fn the_cursor_reads_what_was_measured() {
    let chart = Chart::Lines(percentiles());
    let drawing = chart.drawing();
    let stops = drawing.stops(WIDE);
    assert_eq!(stops.len(), 81);
    let stop = chart.stop_at(WIDE, stops[40].0 + 0.4, 0.0).unwrap();
    let reading = drawing.reading(WIDE, stop).unwrap();
    assert_eq!(
        (stop, reading.title.as_str(), reading.rows[0].value.as_str()),
        (40, "percentile p90", "3.15 s")
    );
    assert_eq!((reading.rows.len(), reading.groups.len()), (4, 5));
    assert_eq!(drawing.reading(WITHOUT_SP, stop).unwrap().rows.len(), 3);
    assert_eq!(drawing.reading(WIDE, 81), None);
    let bars = Chart::Bars(spent());
    assert_eq!([1.0, 50.0, 900.0].map(|y| bars.stop_at(WIDE, 0.0, y)), [Some(0), Some(1), Some(3)]);
    let reading = bars.drawing().reading(WIDE, 1).unwrap();
    assert_eq!(
        reading.words(),
        "Long polling: payload 140 B, framing 0 B, HTTP headers 608 B, empty polls 0 B, total 748 B"
    );
}

#[test]
fn a_marker_ranks_the_lines_and_tells_where_they_cross() {
    let groups = costs().groups(WIDE);
    let texts = texts(&groups);
    let said = |text: &str| texts.iter().any(|found| found.3 == text);
    assert!(said("SP and SSE cross at 1k") && said("LP and SSE cross at 2k"), "{texts:?}");
    assert!(!texts.iter().any(|found| found.3.contains("SSE and WS")), "they run together");
    let place = |code: &str| texts.iter().find(|found| found.3 == code).map(|found| found.2);
    assert!(place("SP") < place("LP") && place("LP") < place("SSE"), "the greatest is first");
    assert_eq!(costs().summary(WITHOUT_SP), "at 5k clients: Long polling 2.5k/s, SSE 1k/s, WebSocket 1k/s");
}

#[test]
fn a_long_series_is_thinned_but_keeps_its_greatest() {
    let strips = behind();
    let groups = strips.groups(WIDE);
    let long = |mark: &Mark| matches!(mark, Mark::Path { d, .. } if d.len() > 20_000);
    assert!(!groups.iter().any(|group| group.marks.iter().any(long)));
    let texts = texts(&groups);
    assert!(texts.iter().any(|found| found.3 == "max 1.98 s"), "{texts:?}");
    assert!(strips.summary(WIDE).starts_with("Short polling mean "), "{}", strips.summary(WIDE));
}

#[test]
fn tables_have_all_that_is_shown() {
    for chart in all() {
        let (all, fewer) = (chart.drawing().table(WIDE), chart.drawing().table(WITHOUT_SP));
        assert!(all.rows.iter().all(|row| row.len() == all.heads.len()), "{all:?}");
        let size = |table: &Table| table.heads.len() + table.rows.len();
        assert_eq!(size(&fewer) + 1, size(&all), "one column or one row less");
    }
    assert_eq!(spent().table(WIDE).rows[2], ["SSE", "140 B", "30 B", "24 B", "0 B", "194 B"]);
}

#[test]
fn a_chart_of_nothing_is_empty() {
    for chart in [
        Chart::Lines(LineChart { lines: vec![], ..percentiles() }),
        Chart::Lines(LineChart { lines: vec![Line::of(Technique::Sse, vec![])], ..costs() }),
        Chart::Strips(Strips { lines: vec![], ..behind() }),
        Chart::Bars(Bars { bars: vec![], ..spent() }),
    ] {
        assert_eq!(chart.stop_by(WIDE, "End", None), None);
        let drawing = chart.drawing();
        assert!(drawing.groups(WIDE).is_empty() && drawing.stops(WIDE).is_empty(), "{chart:?}");
        assert_eq!(drawing.reading(WIDE, 0), None);
    }
}

#[test]
fn an_export_stands_alone() {
    let inks = Inks::read(&|name| {
        if name == "--sans" { " \"Segoe UI\", sans-serif".to_owned() } else { format!("#{name}") }
    });
    for chart in all() {
        let svg = svg_text(&chart, "A < B", "both & \"more\"", WIDE, &inks);
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</g>\n</svg>\n"), "{svg}");
        assert!(svg.contains("<title>A &lt; B</title>") && svg.contains("both &amp; &quot;more&quot;"));
        assert!(svg.contains("&quot;Segoe UI&quot;, sans-serif") && svg.contains("#--sse"));
        for outside in ["var(", "class=", "url(", "<style", "NaN", "inf"] {
            assert!(!svg.contains(outside), "{outside}");
        }
        assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
        assert_eq!(svg.matches('"').count() % 2, 0);
    }
}
