//! `deploy/crds` holds what the types say. To write it anew after a change of the types: `make crds`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use routelet_api::definitions::{definitions, yaml};

#[test]
fn the_files_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    let write = std::env::var_os("ROUTELET_WRITE_CRDS").is_some();
    let mut expected = BTreeSet::from(["kustomization.yaml".to_owned()]);
    for definition in definitions() {
        let name = format!("{}.yaml", definition.metadata.name.as_deref().unwrap());
        let text = yaml(&definition).unwrap();
        if write {
            std::fs::write(folder.join(&name), &text).unwrap();
        }
        let found = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            found == text,
            "deploy/crds/{name} is not what the types say: run `make crds` and commit it"
        );
        expected.insert(name);
    }
    let found: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected, "files in deploy/crds that no kind has");
}
