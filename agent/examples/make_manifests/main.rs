//! Writes the manifests of a large cluster into a directory, to see what the agent makes of it.
//!
//! `cargo run -p agent --example make_manifests DIR [SERVICES [NODES [LAYOUT]]]`: 5,000 Services and 1,000 Nodes unless told.
//! The layout is `kind` (a file of many documents for each kind; the default), `object` (a file for each object) or `list`
//! (a file with one List for each kind, as `kubectl get -o yaml` prints it).
#![allow(clippy::unwrap_used)]

mod cluster;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use cluster::Cluster;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| arguments.get(at).map_or(default, |a| a.parse().unwrap());
    let Some(directory) = arguments.first().map(Path::new) else {
        println!("usage: make_manifests DIR [SERVICES [NODES [kind|object|list]]]");
        return;
    };
    let cluster = Cluster {
        services: number(1, 5_000),
        nodes: number(2, 1_000),
    };
    let layout = arguments.get(3).map_or("kind", String::as_str);
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("routelet.yaml"), cluster.configuration()).unwrap();
    write(directory, layout, "nodes", cluster.nodes, |at| {
        cluster.node(at)
    });
    write(directory, layout, "services", cluster.services, |at| {
        cluster.service(at)
    });
    let slices = cluster.services * 2;
    write(directory, layout, "endpointslices", slices, |at| {
        cluster.slice(at)
    });
}

fn write(
    directory: &Path,
    layout: &str,
    name: &str,
    count: usize,
    object: impl Fn(usize) -> String,
) {
    let file = |name: &str| BufWriter::new(File::create(directory.join(name)).unwrap());
    match layout {
        "kind" => {
            let mut file = file(&format!("{name}.yaml"));
            for at in 0..count {
                write!(file, "---\n{}", object(at)).unwrap();
            }
        }
        "object" => {
            for at in 0..count {
                let mut file = file(&format!("{name}-{at}.yaml"));
                file.write_all(object(at).as_bytes()).unwrap();
            }
        }
        "list" => {
            let mut file = file(&format!("{name}.yaml"));
            file.write_all(b"apiVersion: v1\nitems:\n").unwrap();
            for at in 0..count {
                let text = object(at).trim_end().replace('\n', "\n  ");
                writeln!(file, "- {text}").unwrap();
            }
            file.write_all(b"kind: List\n").unwrap();
        }
        other => panic!("layout {other}: expected kind, object or list"),
    }
}
