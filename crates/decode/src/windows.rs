//! Windows event log records as JSON, in the shapes in which they are shipped.
//!
//! | shape | made by |
//! | --- | --- |
//! | `{"Event": {"System": {…}, "EventData": {…}}}` with `#attributes` and `#text` | evtx_dump; also without `Event`, also with `Provider_attributes` |
//! | `{"Event": {… "EventData": {"Data": [{"@Name": …, "#text": …}]}}}` | XML converted element by element |
//! | `{"winlog": {"channel": …, "event_data": {…}, "user_data": {…}}}` | Winlogbeat 7 and later, Elastic Agent |
//! | `{"log_name": …, "event_data": {…}}` | Winlogbeat 6 |
//! | `{"Channel": …, "EventID": …, "Image": …}` | NXLog, Fluent Bit, Azure's tables, OTRF's data sets |
//!
//! What a rule calls a field is found so, the strongest first:
//!
//! 1. the text of a `System` element (`EventID`), its attribute as `Element_Attribute` (`Provider_Name`), and
//!    Winlogbeat's names for the same;
//! 2. a name of `EventData`, or of `UserData` within its wrapper element;
//! 3. a name at the top level of the record; or, with dots, the path of that name;
//! 4. another shipper's name for a `System` element (`SourceName` for `Provider_Name`, `Hostname` for `Computer` …): the tables
//!    in [`shapes`].
//!
//! At each, a name with spaces is also found without them, or with underscores for them. `Data` without names has as many values as there are
//! elements. A null, which is an empty element, gives way to any value. Event data that is itself JSON or XML
//! in a string (Azure's `EventData`) is not opened.

pub(crate) mod logsources;
pub(crate) mod shapes;

pub use logsources::windows_logsources;
