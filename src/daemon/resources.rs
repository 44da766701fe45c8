//! Named resources: what the settings make of them, and the variables in which attempts find their units.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{ResourceSettings, Settings};
use crate::job::Limits;
use crate::scheduler::Resource;

/// The resources there are; `memory` is always one of them.
pub(super) fn of_settings(settings: &Settings) -> Vec<Resource> {
    let resource = |(name, resource): (&String, &ResourceSettings)| Resource {
        name: name.clone(),
        capacity: if resource.units.is_empty() {
            resource.capacity
        } else {
            resource.units.len() as u64
        },
        units: resource.units.iter().map(|unit| Arc::from(unit.as_str())).collect(),
    };
    let mut resources: Vec<_> = settings.resources.iter().map(resource).collect();
    if !settings.resources.contains_key(Limits::MEMORY) {
        let name = Limits::MEMORY.to_owned();
        resources.push(Resource { name, capacity: host_memory(), units: Vec::new() });
    }
    resources
}

/// How much there is of each, by name.
pub(super) fn capacities(settings: &Settings) -> BTreeMap<String, u64> {
    of_settings(settings).into_iter().map(|found| (found.name, found.capacity)).collect()
}

/// The variable in which an attempt finds its units of this resource.
pub(super) fn variable(settings: &Settings, name: &str) -> String {
    let named = settings.resources.get(name).map(|resource| resource.env.clone());
    named.filter(|env| !env.is_empty()).unwrap_or_else(|| {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        format!("TWOLANE_RESOURCE_{}", name.chars().map(word).collect::<String>())
    })
}

/// The host's memory in bytes; without a limit where it can't be read.
fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes =
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.map_or(u64::MAX, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_there_without_being_named_and_units_count() {
        let mut settings = Settings::default();
        let units = vec!["0".to_owned(), "1".to_owned()];
        let gpu = ResourceSettings { units, ..ResourceSettings::default() };
        settings.resources.insert("gpu".to_owned(), gpu);
        let found = capacities(&settings);
        assert_eq!(found["gpu"], 2);
        assert!(found["memory"] > 1 << 20);
        assert_eq!(variable(&settings, "gpu"), "TWOLANE_RESOURCE_GPU");
    }
}
