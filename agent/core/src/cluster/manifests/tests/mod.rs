//! Claims about manifests: what is reported, and what stays in force.
#![allow(clippy::unwrap_used)]

mod faults;
mod last_good;
mod reading;

use std::fs;
use std::path::Path;

use super::*;

const ROUTER: &str = "\
apiVersion: routelet.dev/v1alpha1
kind: Router
metadata: {name: default}
spec:
  asn: 64512
";

fn peer(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: routelet.dev/v1alpha1\nkind: Peer\nmetadata:\n  name: {name}\nspec:\n{spec}"
    )
}

const TOR: &str = "  address: 192.0.2.1\n  asn: 64500\n";

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let snapshot = load(directory(files).path()).unwrap();
    snapshot.problems.iter().map(ToString::to_string).collect()
}

fn peers(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.state.peers.keys().map(String::as_str).collect()
}
