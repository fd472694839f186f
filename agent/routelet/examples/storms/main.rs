//! Says as JSON what the agents of a mesh of so many nodes write into the API server, and how large a page of metrics
//! is: works M and N of `make bench`.
//!
//! ```text
//! storms mesh NODES
//! storms page PEERS
//! ```

mod mesh;

use anyhow::{Context, Result, bail};
use routelet::metrics::PeerSeries;
use serde_json::{Value, json};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, count] = words.as_slice() else {
        bail!("expected \"mesh NODES\" or \"page PEERS\"");
    };
    let count = count.parse().context("a number of nodes or peers")?;
    let found = match what.as_str() {
        "mesh" => of_mesh(count)?,
        "page" => of_page(count)?,
        other => bail!("\"{other}\" is neither \"mesh\" nor \"page\""),
    };
    println!("{found}");
    Ok(())
}

fn of_mesh(nodes: usize) -> Result<Value> {
    let update = mesh::rolling_update(nodes)?;
    let flap = mesh::away(nodes, mesh::RESTART)?;
    let lost = mesh::away(nodes, mesh::LOST)?;
    let most = update.most.max(flap.most).max(lost.most);
    Ok(json!({
        "update": update.caused, "flap": flap.caused, "lost": lost.caused, "largest": update.largest,
        "writesPerSecond": most as f64 / mesh::WINDOW.as_secs_f64(), "quietHour": mesh::quiet(nodes)?.bytes,
    }))
}

fn of_page(peers: usize) -> Result<Value> {
    let (page, time) = mesh::page(peers, PeerSeries::default())?;
    let all = PeerSeries {
        most: usize::MAX,
        mesh: true,
    };
    let (singly, _) = mesh::page(peers, all)?;
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    Ok(json!({
        "bytes": page.len(), "seconds": time.as_secs_f64(), "series": series, "singly": singly.len(),
    }))
}
