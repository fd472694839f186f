//! The manifests of a large cluster, the same at every run: what `kubectl get -o yaml` shows of one.
//!
//! | object | how many | what varies |
//! |---|---|---|
//! | Node | as asked | a pod CIDR and an InternalIP of each family |
//! | Service | as asked | every other one has a LoadBalancer, of these every other one is `Local` |
//! | EndpointSlice | two a Service, one of each family | three endpoints on three nodes, one in 50 not ready |
//!
//! Objects carry what real ones carry and the agent does not use (images, conditions, owners): reading over that is a
//! part of the work. The texts lie in `manifests/`, with `$WORDS` where they vary.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, Result};

const CONFIGURATION: &str = include_str!("../manifests/configuration.yaml");
const NODE: &str = include_str!("../manifests/node.yaml");
const IMAGE: &str = include_str!("../manifests/image.yaml");
const SERVICE: &str = include_str!("../manifests/service.yaml");
const SLICE: &str = include_str!("../manifests/slice.yaml");
const ENDPOINT: &str = include_str!("../manifests/endpoint.yaml");

/// Images that a node lists.
const IMAGES: usize = 10;
/// Namespaces that Services are spread over, `team-0` and so on.
pub const TEAMS: usize = 100;
/// Endpoints of a slice.
const ENDPOINTS: usize = 3;
/// Nodes of a rack.
const RACK: usize = 40;

/// How large the cluster is.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// Service objects; there are twice as many EndpointSlices.
    pub services: usize,
    /// Node objects, `node-0` and so on.
    pub nodes: usize,
}

/// What stands in one file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Layout {
    /// All objects of a kind, as documents
    Kind,
    /// One object
    Object,
    /// All objects of a kind, as one List, which is what `kubectl get -o yaml` prints
    List,
}

impl Cluster {
    /// The objects by kind, each kind under the name that its file gets. Each text is a document and begins with `---`,
    /// but for the last kind, our own objects, which are one text of several documents.
    pub fn objects(self) -> [(&'static str, Box<dyn Iterator<Item = String>>); 4] {
        let slices =
            (0..self.services).flat_map(move |n| [false, true].map(|v6| self.slice(n, v6)));
        [
            ("nodes", Box::new((0..self.nodes).map(node))),
            ("services", Box::new((0..self.services).map(service))),
            ("endpointslices", Box::new(slices)),
            (
                "routelet",
                Box::new(std::iter::once(CONFIGURATION.to_owned())),
            ),
        ]
    }

    /// Writes all of it into `folder`, which is made.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(self, folder: &Path, layout: Layout) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        for (name, texts) in self.objects() {
            match layout {
                Layout::Object if name != "routelet" => {
                    for (at, text) in texts.enumerate() {
                        write(&folder.join(format!("{name}-{at}.yaml")), [text])?;
                    }
                }
                Layout::List if name != "routelet" => {
                    let item = |text: String| {
                        let object = text.trim_start_matches("---\n").trim_end();
                        format!("- {}\n", object.replace('\n', "\n  "))
                    };
                    let head = "apiVersion: v1\nkind: List\nitems:\n".to_owned();
                    let list = std::iter::once(head).chain(texts.map(item));
                    write(&folder.join(format!("{name}.yaml")), list)?;
                }
                Layout::Kind | Layout::Object | Layout::List => {
                    write(&folder.join(format!("{name}.yaml")), texts)?;
                }
            }
        }
        Ok(())
    }

    fn slice(self, number: usize, v6: bool) -> String {
        let id = 2 * number + usize::from(v6);
        let mut text = filled(
            SLICE,
            number,
            &[
                ("$ID", &hexadecimal(id, 12)),
                ("$FAMILY", if v6 { "IPv6" } else { "IPv4" }),
                ("$PART", if v6 { "v6" } else { "v4" }),
                ("$TEAM", &(number % TEAMS).to_string()),
            ],
        );
        for endpoint in 0..ENDPOINTS {
            let on = (number * 7 + endpoint) % self.nodes.max(1);
            let pod = 2 + (number % 200) as u32;
            let address = match v6 {
                true => v6_host(0x10, on, pod).to_string(),
                false => (Ipv4Addr::from(pod_network(on).to_bits() + pod)).to_string(),
            };
            let ready = (id + endpoint) % 50 != 7;
            text += &filled(
                ENDPOINT,
                number,
                &[
                    ("$ADDRESS", &address),
                    ("$READY", &ready.to_string()),
                    ("$NODE", &on.to_string()),
                    ("$POD", &hexadecimal(ENDPOINTS * number + endpoint, 5)),
                    ("$ID", &hexadecimal(ENDPOINTS * number + endpoint, 12)),
                    ("$TEAM", &(number % TEAMS).to_string()),
                ],
            );
        }
        text
    }
}

fn write(path: &Path, texts: impl IntoIterator<Item = String>) -> Result<()> {
    let fill = || {
        let mut file = BufWriter::new(File::create(path)?);
        for text in texts {
            file.write_all(text.as_bytes())?;
        }
        file.flush()
    };
    fill().with_context(|| path.display().to_string())
}

fn node(number: usize) -> String {
    let host = Ipv4Addr::from(u32::from_be_bytes([172, 16, 0, 1]) + number as u32);
    let mut text = filled(
        NODE,
        number,
        &[
            ("$ID", &hexadecimal(number, 12)),
            ("$RACK", &(number / RACK).to_string()),
            ("$POD4", &format!("{}/24", pod_network(number))),
            ("$POD6", &format!("{}/64", v6_host(0x10, number, 0))),
            ("$NODE4", &host.to_string()),
            ("$NODE6", &v6_host(0x16, number, 1).to_string()),
        ],
    );
    for image in 0..IMAGES {
        let hash = hexadecimal(image * 7919 + 1, 8);
        let words = [("$I", &*image.to_string()), ("$HASH", &hash)];
        text += &filled(IMAGE, number, &words);
    }
    text
}

fn service(number: usize) -> String {
    let at = |first: [u8; 4]| Ipv4Addr::from(u32::from_be_bytes(first) + number as u32 + 1);
    let external = format!(
        "{{ip: {}, ipMode: VIP}}, {{ip: \"{}\", ipMode: VIP}}",
        at([100, 64, 0, 0]),
        v6_host(0x99, 0, number as u32 + 1)
    );
    let (kind, policy, ingress) = match number % 4 {
        0 => ("LoadBalancer", "Cluster", &*external),
        2 => ("LoadBalancer", "Local", &*external),
        _ => ("NodePort", "Cluster", ""),
    };
    filled(
        SERVICE,
        number,
        &[
            ("$ID", &hexadecimal(number, 12)),
            ("$TEAM", &(number % TEAMS).to_string()),
            ("$TYPE", kind),
            ("$POLICY", policy),
            ("$INGRESS", ingress),
            ("$CLUSTER4", &at([10, 128, 0, 0]).to_string()),
            (
                "$CLUSTER6",
                &v6_host(0x96, 0, number as u32 + 1).to_string(),
            ),
        ],
    )
}

/// A text with its words filled in, and `$N` with the object's number. Of two words where one begins with the other,
/// the longer one comes first.
fn filled(text: &str, number: usize, words: &[(&str, &str)]) -> String {
    let mut words: Vec<(&str, &str)> = words.to_vec();
    let number = number.to_string();
    words.push(("$N", &number));
    words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let mut text = text.to_owned();
    for (word, value) in words {
        text = text.replace(word, value);
    }
    text
}

fn hexadecimal(number: usize, digits: usize) -> String {
    format!("{number:0digits$x}")
}

fn pod_network(node: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be_bytes([10, 64, 0, 0]) + ((node as u32) << 8))
}

fn v6_host(network: u16, subnet: usize, host: u32) -> Ipv6Addr {
    let [high, low] = [(host >> 16) as u16, host as u16];
    Ipv6Addr::new(0xfd00, network, 0, subnet as u16, 0, 0, high, low)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CLUSTER: Cluster = Cluster {
        services: 300,
        nodes: 90,
    };

    #[test]
    fn every_object_is_written_and_no_word_is_left() {
        let folder = tempfile::tempdir().unwrap();
        CLUSTER.write(folder.path(), Layout::Kind).unwrap();
        for (file, kind, count) in [
            ("nodes.yaml", "Node", 90),
            ("services.yaml", "Service", 300),
            ("endpointslices.yaml", "EndpointSlice", 600),
        ] {
            let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
            let found = text
                .lines()
                .filter(|line| **line == format!("kind: {kind}"));
            assert_eq!(found.count(), count, "{file}");
            assert!(!text.contains('$'), "{file}");
            let names = text.lines().filter(|line| line.starts_with("  name: "));
            let distinct: std::collections::HashSet<&str> = names.collect();
            assert_eq!(distinct.len(), count, "{file}");
        }
    }

    #[test]
    fn layouts_differ_in_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        CLUSTER.write(folder.path(), Layout::Object).unwrap();
        let files = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(files.count(), 90 + 300 + 600 + 1);

        let folder = tempfile::tempdir().unwrap();
        CLUSTER.write(folder.path(), Layout::List).unwrap();
        let text = std::fs::read_to_string(folder.path().join("services.yaml")).unwrap();
        assert!(text.starts_with(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n"
        ));
        assert_eq!(text.matches("\n- apiVersion").count(), 300);
        assert!(!text.contains("---"));
    }
}
