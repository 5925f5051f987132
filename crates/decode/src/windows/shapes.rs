//! Where the fields of a Windows event stand in each shape.

use crate::paths::{Paths, PlaceId, Role};

/// Ranks, each with one below it for names found with their spaces replaced.
const SYSTEM: u8 = 10;
const DATA: u8 = 8;
const TOP: u8 = 6;
const ALIAS: u8 = 4;
const WEAK_ALIAS: u8 = 2;
/// Ranks that one field uses; time places stand that far apart.
const RANKS: u8 = 11;

/// Winlogbeat's names for the parts of `System`, by path.
const WINLOGBEAT: &[(&str, &str)] = &[
    ("winlog.channel", "Channel"),
    ("winlog.event_id", "EventID"),
    ("winlog.provider_name", "Provider_Name"),
    ("winlog.provider_guid", "Provider_Guid"),
    ("winlog.computer_name", "Computer"),
    ("winlog.record_id", "EventRecordID"),
    ("winlog.version", "Version"),
    ("winlog.activity_id", "Correlation_ActivityID"),
    (
        "winlog.related_activity_id",
        "Correlation_RelatedActivityID",
    ),
    ("winlog.process.pid", "Execution_ProcessID"),
    ("winlog.process.thread.id", "Execution_ThreadID"),
    ("winlog.user.identifier", "Security_UserID"),
    ("winlog.time_created", "TimeCreated_SystemTime"),
];

/// Names at the top level of flat records that can mean nothing else in a Windows event: Winlogbeat 6, NXLog, Azure.
const FLAT_ALIASES: &[(&str, &str)] = &[
    // Winlogbeat 6
    ("log_name", "Channel"),
    ("event_id", "EventID"),
    ("source_name", "Provider_Name"),
    ("provider_guid", "Provider_Guid"),
    ("computer_name", "Computer"),
    ("record_number", "EventRecordID"),
    ("activity_id", "Correlation_ActivityID"),
    ("message", "Message"),
    // NXLog
    ("SourceName", "Provider_Name"),
    ("ProviderGuid", "Provider_Guid"),
    ("Hostname", "Computer"),
    ("RecordNumber", "EventRecordID"),
    ("ActivityID", "Correlation_ActivityID"),
    ("ExecutionProcessID", "Execution_ProcessID"),
    ("ExecutionThreadID", "Execution_ThreadID"),
    // Azure's tables
    ("EventSourceName", "Provider_Name"),
    // OTRF's collector, Fluent Bit
    ("TimeCreated", "TimeCreated_SystemTime"),
];

/// Names that mean this where nothing else does: in flat records of others they are event data.
const WEAK_ALIASES: &[(&str, &str)] = &[
    // Fluent Bit; event data of the Windows Filtering Platform
    ("ProviderName", "Provider_Name"),
    // Azure's WindowsEvent table
    ("Provider", "Provider_Name"),
];

/// Where event time usually stands, the first that can be read winning. `EventTime` comes last because NXLog writes it in
/// the sender's local time without saying which.
const TIMES: &[&str] = &[
    "TimeCreated_SystemTime",
    "@timestamp",
    "TimeCreated",
    "UtcTime",
    "timestamp",
    "TimeGenerated",
    "EventTime",
];

/// The places of wanted fields in Windows events, under construction.
pub(crate) struct Shapes {
    paths: Paths,
    /// `System`.
    system: PlaceId,
    /// Where names of event data stand, in every shape.
    data: PlaceId,
}

impl Shapes {
    pub(crate) fn new() -> Self {
        let mut paths = Paths::new();
        let root = Paths::ROOT;
        let event = paths.child(root, "Event");
        let winlog = paths.child(root, "winlog");
        let system = paths.child(event, "System");
        let data = paths.child(event, "EventData");
        let user_data = paths.child(event, "UserData");
        paths.link(root, "System", system);
        paths.link(root, "EventData", data);
        paths.link(root, "UserData", user_data);
        for parent in [root, winlog] {
            paths.link(parent, "event_data", data);
            paths.link(parent, "user_data", data);
        }
        paths.edit(user_data, |place| place.any = Some(data));
        paths.edit(data, |place| place.spaced = true);
        paths.edit(root, |place| place.spaced = true);
        let elements = paths.child(data, "Data");
        paths.edit(elements, |place| {
            place.named = Some(data);
            place.element = true;
        });
        Self {
            paths,
            system,
            data,
        }
    }

    /// Wants a field by the name that rules use.
    pub(crate) fn want(&mut self, field: &str, role: Role) {
        self.want_above(field, role, 0);
    }

    /// Wants the event time in its usual places.
    pub(crate) fn want_time(&mut self) {
        for (field, above) in TIMES.iter().rev().zip((0u8..).step_by(RANKS.into())) {
            self.want_above(field, Role::Time, above);
        }
    }

    pub(crate) fn build(self) -> Paths {
        self.paths
    }

    fn want_above(&mut self, field: &str, role: Role, above: u8) {
        let paths = &mut self.paths;
        let element = paths.descend(self.system, field);
        paths.edit(element, |place| place.element = true);
        paths.want(element, role, above + SYSTEM);
        for (at, _) in field.match_indices('_') {
            self.want_attribute(field.split_at(at), role, above + SYSTEM);
        }

        let paths = &mut self.paths;
        let datum = paths.descend(self.data, field);
        paths.edit(datum, |place| place.element = true);
        paths.want(datum, role, above + DATA);

        let top = paths.descend(Paths::ROOT, field);
        paths.want(top, role, above + TOP);

        for (table, rank) in [
            (WINLOGBEAT, SYSTEM),
            (FLAT_ALIASES, ALIAS),
            (WEAK_ALIASES, WEAK_ALIAS),
        ] {
            for (name, _) in table.iter().filter(|(_, means)| *means == field) {
                let place = self.paths.descend(Paths::ROOT, name);
                // Only a scalar is what the other name means.
                self.paths.edit(place, |place| place.element = true);
                self.paths.want(place, role, above + rank);
            }
        }
    }

    /// Wants `Element_Attribute`, split before the underscore.
    fn want_attribute(&mut self, (element, attribute): (&str, &str), role: Role, rank: u8) {
        let attribute = attribute.trim_start_matches('_');
        if element.is_empty() || attribute.is_empty() {
            return;
        }
        let paths = &mut self.paths;
        let element_place = paths.child(self.system, element);
        paths.edit(element_place, |place| place.element = true);
        let attributes = paths.child(element_place, "#attributes");
        let beside = paths.child(self.system, &format!("{element}_attributes"));
        for (place, name) in [
            (attributes, attribute),
            (beside, attribute),
            (element_place, attribute),
            (element_place, &format!("@{attribute}")),
        ] {
            let place = paths.child(place, name);
            paths.want(place, role, rank);
        }
    }
}
