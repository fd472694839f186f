//! A description as GoBGP's configuration.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::speaker::{AddPath, Export, Listen, Mode, Neighbour, Speaker};

pub(super) fn config(speaker: &Speaker) -> Result<Value> {
    let port = match speaker.listen {
        Listen::Port(port) => i32::from(port),
        Listen::Never => -1,
    };
    let neighbours = speaker
        .neighbours
        .iter()
        .map(|neighbour| neighbour_config(speaker, neighbour))
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({
        "global": {"config": {"as": speaker.asn, "router-id": speaker.router_id, "port": port}},
        "neighbors": neighbours,
    }))
}

fn neighbour_config(speaker: &Speaker, neighbour: &Neighbour) -> Result<Value> {
    if neighbour.export == Export::Nothing {
        bail!("telling a neighbour nothing is not written for GoBGP");
    }
    ensure!(
        neighbour.extra.is_empty(),
        "extra text does not fit into GoBGP's JSON"
    );
    if neighbour.next_hop_self {
        bail!("next-hop-self is not written for GoBGP");
    }
    let families: Vec<Value> = neighbour
        .families
        .iter()
        .map(|family| {
            json!({
                "config": {"afi-safi-name": format!("{family}-unicast")},
                "add-paths": {"config": {
                    "receive": neighbour.add_path != AddPath::Off,
                    "send-max": if neighbour.add_path == AddPath::Both { 16 } else { 0 },
                }},
                "mp-graceful-restart": {"config": {"enabled": neighbour.graceful_restart.is_some()}},
            })
        })
        .collect();
    let mut timers = json!({"connect-retry": 1});
    if let Some(hold) = speaker.hold_time {
        timers["hold-time"] = json!(hold.as_secs());
        timers["keepalive-interval"] = json!(hold.as_secs() / 3);
    }
    // Its own port also names the port of the neighbour's side unless that is given.
    let mut transport = json!({"passive-mode": neighbour.mode == Mode::Passive});
    transport["remote-port"] = json!(neighbour.port.unwrap_or(179));
    if let Some(local) = neighbour.local_address {
        transport["local-address"] = json!(local);
    }
    let mut config = json!({"neighbor-address": neighbour.address, "peer-as": neighbour.asn});
    if let Some(password) = &neighbour.password {
        config["auth-password"] = json!(password);
    }
    let mut text = json!({
        "config": config,
        "timers": {"config": timers},
        "transport": {"config": transport},
        "afi-safis": families,
    });
    if let Some(hops) = neighbour.multihop {
        text["ebgp-multihop"] = json!({"config": {"enabled": true, "multihop-ttl": hops}});
    }
    if let Some(hops) = neighbour.ttl_security {
        text["ttl-security"] =
            json!({"config": {"enabled": true, "ttl-min": 256 - u16::from(hops)}});
    }
    if let Some(time) = neighbour.graceful_restart {
        text["graceful-restart"] =
            json!({"config": {"enabled": true, "restart-time": time.as_secs()}});
    }
    if neighbour.route_reflector_client {
        text["route-reflector"] = json!({"config": {
            "route-reflector-client": true, "route-reflector-cluster-id": speaker.router_id,
        }});
    }
    Ok(text)
}
