//! A scrape as text: the samples of a table's rows in the OpenMetrics format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use routelet_base::timing::Recorded;

use super::metric::{Kind, Metric, Sample, Samples};

/// The content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of a scrape: the metrics of a table, as they are in a snapshot.
pub fn render<S>(metrics: &'static [Metric<S>], snapshot: S) -> String
where
    S: fmt::Debug + Send + Sync + 'static,
{
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { metrics, snapshot }));
    let mut text = String::new();
    // Writing to a `String` cannot fail, and the encoder has no other error.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Scrape<S: 'static> {
    metrics: &'static [Metric<S>],
    snapshot: S,
}

impl<S: fmt::Debug + Send + Sync + 'static> Collector for Scrape<S> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in self.metrics {
            let mut samples = Samples::default();
            (metric.sample)(&self.snapshot, &mut samples);
            if samples.0.is_empty() {
                continue;
            }
            let (name, unit) = split_unit(metric.name);
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, metric.help, unit.as_ref(), kind)?;
            for (values, value) in &samples.0 {
                debug_assert_eq!(values.len(), metric.labels.len(), "{}", metric.name);
                let labels: Vec<(&str, &str)> = metric
                    .labels
                    .iter()
                    .copied()
                    .zip(values.iter().map(String::as_str))
                    .collect();
                if labels.is_empty() {
                    encode(metric.kind, value, &mut family)?;
                } else {
                    let mut one = family.encode_family(&labels)?;
                    encode(metric.kind, value, &mut one)?;
                }
            }
        }
        Ok(())
    }
}

fn encode(kind: Kind, value: &Sample, encoder: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
    match (kind, value) {
        (Kind::Counter, Sample::Number(value)) => {
            encoder.encode_counter::<NoLabelSet, f64, f64>(value, None)
        }
        (Kind::Gauge, Sample::Number(value)) => encoder.encode_gauge(value),
        (Kind::Histogram, Sample::Histogram(Recorded { buckets, sum, .. })) => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
        // A row whose values are of another kind: left out, and the test of all rows sees it.
        _ => Ok(()),
    }
}

/// OpenMetrics wants the unit as a field of its own besides its place at the end of the name.
fn split_unit(name: &str) -> (&str, Option<Unit>) {
    for (suffix, unit) in [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)] {
        if let Some(stem) = name.strip_suffix(suffix) {
            return (stem, Some(unit));
        }
    }
    (name, None)
}
