//! RFC 7911 section 4: who sends is who offers it to one that wants it, by family and direction.

use super::*;
use AddPathMode::{Both, Receive, Send};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = directions();
    rows.extend(sides_and_families());
    rows
}

const fn row(
    name: &'static str,
    local: fn(&mut Config),
    remote: fn(&mut Config),
    outcome: fn(&mut Negotiated),
) -> Row {
    Row {
        name,
        local,
        remote,
        outcome,
        ..SAME
    }
}

fn directions() -> Vec<Row> {
    vec![
        row(
            "we receive",
            |c| c.add_path = vec![(V4, Receive)],
            |c| c.add_path = vec![(V4, Send)],
            |n| {
                n.add_path_receive = vec![V4];
            },
        ),
        row(
            "we send",
            |c| c.add_path = vec![(V6, Send)],
            |c| c.add_path = vec![(V6, Receive)],
            |n| {
                n.add_path_send = vec![V6];
            },
        ),
        row(
            "both send",
            |c| c.add_path = vec![(V4, Send)],
            |c| c.add_path = vec![(V4, Send)],
            |_| {},
        ),
        row(
            "both receive",
            |c| c.add_path = vec![(V4, Receive)],
            |c| c.add_path = vec![(V4, Receive)],
            |_| {},
        ),
        row(
            "here both, there receive",
            |c| c.add_path = vec![(V4, Both)],
            |c| c.add_path = vec![(V4, Receive)],
            |n| {
                n.add_path_send = vec![V4];
            },
        ),
        row(
            "here both, there send",
            |c| c.add_path = vec![(V4, Both)],
            |c| c.add_path = vec![(V4, Send)],
            |n| {
                n.add_path_receive = vec![V4];
            },
        ),
        row(
            "here receive, there both",
            |c| c.add_path = vec![(V6, Receive)],
            |c| c.add_path = vec![(V6, Both)],
            |n| {
                n.add_path_receive = vec![V6];
            },
        ),
    ]
}

fn sides_and_families() -> Vec<Row> {
    vec![
        row(
            "here only",
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |_| {},
            |_| {},
        ),
        row(
            "there only",
            |_| {},
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |_| {},
        ),
        row(
            "other families",
            |c| c.add_path = vec![(V4, Both)],
            |c| c.add_path = vec![(V6, Both)],
            |_| {},
        ),
        row(
            "a direction each",
            |c| c.add_path = vec![(V4, Send), (V6, Receive)],
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |n| (n.add_path_send, n.add_path_receive) = (vec![V4], vec![V6]),
        ),
        row(
            "a family that was not agreed on",
            |c| c.add_path = vec![(V4, Both), (V6, Both)],
            |c| {
                c.add_path = vec![(V4, Both), (V6, Both)];
                c.families = vec![V4];
            },
            |n| {
                n.families = vec![V4];
                (n.add_path_send, n.add_path_receive) = (vec![V4], vec![V4]);
            },
        ),
    ]
}
