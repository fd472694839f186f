//! Claims about a directory of manifests that is followed.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;

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

fn peers(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.state.peers.keys().map(String::as_str).collect()
}

/// Waits for the next snapshot that a condition holds for. The deadline only bounds a failure.
fn wait(manifests: &Manifests, what: &str, condition: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut watch = manifests.watch();
    let waiting = async {
        let found = watch.wait_for(|snapshot| condition(snapshot)).await;
        found.unwrap().clone()
    };
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(20), waiting).await })
        .unwrap_or_else(|_| panic!("never seen: {what}"))
}

#[test]
fn changes_of_files_are_followed() {
    let directory = directory(&[("a.yaml", &peer("a", TOR))]);
    let path = |name: &str| directory.path().join(name);
    let manifests = Manifests::start(directory.path()).unwrap();
    assert_eq!(peers(&manifests.snapshot()), ["a"]);

    fs::write(path("b.yaml"), peer("b", TOR)).unwrap();
    wait(&manifests, "a new file", |s| peers(s) == ["a", "b"]);

    // As editors do: a temporary file takes the name.
    fs::write(path(".c.tmp"), peer("c", TOR)).unwrap();
    fs::rename(path(".c.tmp"), path("b.yaml")).unwrap();
    wait(&manifests, "a file replaced", |s| peers(s) == ["a", "c"]);

    fs::write(path("a.yaml"), peer("a", "  asn: wrong\n")).unwrap();
    let snapshot = wait(&manifests, "a problem", |s| !s.problems.is_empty());
    assert_eq!(peers(&snapshot), ["a", "c"], "the last good version");

    fs::remove_file(path("a.yaml")).unwrap();
    wait(&manifests, "a file removed", |s| {
        peers(s) == ["c"] && s.problems.is_empty()
    });

    fs::create_dir(path("sub")).unwrap();
    fs::write(path("sub/d.yaml"), peer("d", TOR)).unwrap();
    wait(&manifests, "a file in a new directory", |s| {
        peers(s) == ["c", "d"]
    });
}

/// With more than 128 agents on one machine, inotify has no instance left for another: it looks at its files all the
/// same, and says so.
#[test]
fn without_notifications_changes_are_followed_and_it_is_said_what_to_do() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static LEFT: AtomicU32 = AtomicU32::new(0);
    let directory = directory(&[("a.yaml", &peer("a", TOR))]);
    let manifests = Manifests::start_with(directory.path(), |handler| {
        if LEFT.load(Ordering::Relaxed) > 0 {
            return notify::recommended_watcher(handler);
        }
        let none_left = std::io::Error::from_raw_os_error(libc::EMFILE);
        Err(notify::Error::io(none_left))
    });
    let manifests = manifests.unwrap();
    let problems = |snapshot: &Snapshot| {
        let texts = snapshot.problems.iter().map(ToString::to_string);
        texts.collect::<Vec<_>>()
    };
    let [problem] = &problems(&manifests.snapshot())[..] else {
        panic!("one problem");
    };
    for words in ["every 5 s", "fs.inotify.max_user_instances=1024"] {
        assert!(problem.contains(words), "{problem}");
    }
    fs::write(directory.path().join("b.yaml"), peer("b", TOR)).unwrap();
    let snapshot = wait(&manifests, "a new file", |s| peers(s) == ["a", "b"]);
    assert_eq!(problems(&snapshot).len(), 1);
    // When another agent has ended, it gets one.
    LEFT.store(1, Ordering::Relaxed);
    wait(&manifests, "notifications", |s| s.problems.is_empty());
}

#[test]
fn a_mounted_config_map_that_switches_versions_is_followed() {
    let directory = directory(&[
        ("..1/p.yaml", &peer("old", TOR)),
        ("..2/p.yaml", &peer("new", TOR)),
    ]);
    let link =
        |from: &str, to: &str| std::os::unix::fs::symlink(from, directory.path().join(to)).unwrap();
    link("..1", "..data");
    link("..data/p.yaml", "p.yaml");
    let manifests = Manifests::start(directory.path()).unwrap();
    assert_eq!(peers(&manifests.snapshot()), ["old"]);
    link("..2", "..data_tmp");
    let path = |name: &str| directory.path().join(name);
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    wait(&manifests, "the new version", |s| peers(s) == ["new"]);
}

#[test]
fn a_directory_that_vanishes_withdraws_nothing_and_its_successor_is_followed() {
    let parent = directory(&[
        ("dir/p.yaml", &peer("old", TOR)),
        ("next/p.yaml", &peer("new", TOR)),
    ]);
    let path = |name: &str| parent.path().join(name);
    let manifests = Manifests::start(&path("dir")).unwrap();
    fs::rename(path("dir"), path("gone")).unwrap();
    let snapshot = wait(&manifests, "the loss", |s| !s.problems.is_empty());
    assert_eq!(peers(&snapshot), ["old"]);
    fs::rename(path("next"), path("dir")).unwrap();
    let snapshot = wait(&manifests, "the successor", |s| peers(s) == ["new"]);
    assert_eq!(*snapshot.problems, []);
    fs::write(path("dir/q.yaml"), peer("q", TOR)).unwrap();
    wait(&manifests, "a change in the successor", |s| {
        peers(s) == ["new", "q"]
    });
}

#[test]
fn a_directory_that_does_not_exist_is_an_error_that_says_what_to_do() {
    let started = Manifests::start(Path::new("/nonexistent/manifests"));
    let error = started.err().unwrap();
    assert_eq!(
        error.to_string(),
        "cannot read the manifests in /nonexistent/manifests: No such file or directory; give a \
         directory of *.yaml, *.yml or *.json files"
    );
}

#[test]
fn that_notifications_end_while_the_directory_is_away_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("manifests");
    fs::create_dir(&root).unwrap();
    let (wake, _woken) = mpsc::sync_channel(1);
    let mut follower = DirectoryWatcher::new(root.clone(), notify::recommended_watcher, wake);
    follower.look_again(Look::Notified);
    fs::remove_dir(&root).unwrap();
    assert!(follower.look_again(Look::Routine), "it is away");
    assert!(!follower.look_again(Look::Routine));
    follower.unnotified = Some("no inotify instances left".to_owned());
    assert!(follower.look_again(Look::Routine));
    let problems = follower.store.snapshot().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(!follower.look_again(Look::Routine));
    follower.unnotified = None;
    assert!(follower.look_again(Look::Routine));
}
