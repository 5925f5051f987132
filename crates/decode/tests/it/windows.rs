use super::*;
use haechi_decode::Logsource;

fn expect(field: &str, record: &str, expected: Option<&[Option<&str>]>) {
    super::expect(Format::Windows, field, record, expected);
}

/// The same process creation in every shape that ships it whole.
const SHAPES: &[&str] = &[
    // evtx_dump
    r##"{"Event":{"#attributes":{"xmlns":"http://x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon","Guid":"{57}"}},"EventID":1,"TimeCreated":{"#attributes":{"SystemTime":"2020-09-18T15:00:16.2990045Z"}},"Correlation":null,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc-1"},"EventData":{"Image":"C:\\Windows\\System32\\cmd.exe","Process Name":"x y","Empty":""}}}"##,
    // the same without `Event`, text and attributes apart
    r##"{"System":{"Provider_attributes":{"Name":"Microsoft-Windows-Sysmon","Guid":"{57}"},"EventID":{"#text":"1","#attributes":{"Qualifiers":""}},"TimeCreated_attributes":{"SystemTime":"2020-09-18T15:00:16.2990045Z"},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc-1"},"EventData":{"Image":"C:\\Windows\\System32\\cmd.exe","Process Name":"x y","Empty":""}}"##,
    // XML element by element
    r##"{"Event":{"@xmlns":"http://x","System":{"Provider":{"@Name":"Microsoft-Windows-Sysmon","@Guid":"{57}"},"EventID":"1","TimeCreated":{"@SystemTime":"2020-09-18T15:00:16.2990045Z"},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc-1"},"EventData":{"Data":[{"@Name":"Image","#text":"C:\\Windows\\System32\\cmd.exe"},{"#text":"x y","@Name":"Process Name"},{"@Name":"Empty","#text":""}]}}}"##,
    // Data elements with their attributes
    r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon","Guid":"{57}"}},"EventID":1,"TimeCreated":{"#attributes":{"SystemTime":"2020-09-18T15:00:16.2990045Z"}},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc-1"},"EventData":{"Data":[{"#attributes":{"Name":"Image"},"#text":"C:\\Windows\\System32\\cmd.exe"},{"#attributes":{"Name":"Process Name"},"#text":"x y"},{"#attributes":{"Name":"Empty"},"#text":""}]}}}"##,
    // Winlogbeat 8
    r##"{"@timestamp":"2020-09-18T15:00:16.2990045Z","event":{"code":"1"},"message":"Process Create","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","event_id":"1","provider_name":"Microsoft-Windows-Sysmon","provider_guid":"{57}","computer_name":"pc-1","event_data":{"Image":"C:\\Windows\\System32\\cmd.exe","Process Name":"x y","Empty":""}}}"##,
    // the same, flattened
    r##"{"@timestamp":"2020-09-18T15:00:16.2990045Z","event.code":"1","winlog.channel":"Microsoft-Windows-Sysmon/Operational","winlog.event_id":1,"winlog.provider_name":"Microsoft-Windows-Sysmon","winlog.provider_guid":"{57}","winlog.computer_name":"pc-1","winlog.event_data.Image":"C:\\Windows\\System32\\cmd.exe","winlog.event_data.Process Name":"x y","winlog.event_data.Empty":""}"##,
    // Winlogbeat 6
    r##"{"@timestamp":"2020-09-18T15:00:16.2990045Z","log_name":"Microsoft-Windows-Sysmon/Operational","event_id":1,"source_name":"Microsoft-Windows-Sysmon","provider_guid":"{57}","computer_name":"pc-1","host":{"name":"collector"},"event_data":{"Image":"C:\\Windows\\System32\\cmd.exe","Process Name":"x y","Empty":""}}"##,
    // NXLog, OTRF
    r##"{"TimeCreated":"2020-09-18T15:00:16.2990045Z","EventTime":"2020-09-18 11:00:16","Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"SourceName":"Microsoft-Windows-Sysmon","ProviderGuid":"{57}","Hostname":"pc-1","Image":"C:\\Windows\\System32\\cmd.exe","Process Name":"x y","Empty":""}"##,
];

#[test]
fn every_shape_tells_the_same() {
    let fields = [
        "Image",
        "EventID",
        "Channel",
        "Computer",
        "Provider_Name",
        "Provider_Guid",
        "ProcessName",
        "Process Name",
        "Process_Name",
        "Empty",
        "Nothing",
        "CommandLine",
    ];
    let expected = [
        Some("C:\\Windows\\System32\\cmd.exe"),
        Some("1"),
        Some("Microsoft-Windows-Sysmon/Operational"),
        Some("pc-1"),
        Some("Microsoft-Windows-Sysmon"),
        Some("{57}"),
        Some("x y"),
        Some("x y"),
        Some("x y"),
        Some(""),
        None,
        None,
    ];
    let mut decoder = Decoder::new(spec(Format::Windows, &fields)).unwrap();
    let decoded = decoder.decode(rows(SHAPES), NOW);
    assert_eq!(decoded.bad, []);
    for (row, shape) in SHAPES.iter().enumerate() {
        for (field, expected) in fields.iter().zip(expected) {
            let expected = expected.map(|text| vec![Some(text.to_owned())]);
            assert_eq!(
                values(&decoded.batch, field, row),
                expected,
                "{field} of {shape}"
            );
        }
        assert_eq!(
            time(&decoded.batch, row),
            1_600_441_216_299_004_500,
            "{shape}"
        );
        let class = class(&decoded.batch, row);
        let logsource = &decoder.classes()[usize::from(class)];
        assert_eq!(
            logsource[..],
            [windows("process_creation", "sysmon")],
            "{shape}"
        );
    }
    assert_eq!((decoded.untimed, decoded.clamped), (0, 0));
}

fn windows(category: &str, service: &str) -> Logsource {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Logsource {
        product: part("windows"),
        category: part(category),
        service: part(service),
    }
}

fn classes_of(record: &str) -> Vec<Logsource> {
    let mut decoder = Decoder::new(spec(Format::Windows, &[])).unwrap();
    let decoded = decoder.decode(rows(&[record]), NOW);
    decoder.classes()[usize::from(class(&decoded.batch, 0))].clone()
}

#[test]
fn system_wins_and_attributes_are_element_attribute() {
    let record = r##"{"Event":{"System":{"EventID":{"#attributes":{"Qualifiers":16384},"#text":1102},"Channel":"Security","Computer":"real","Level":null,
        "Execution":{"#attributes":{"ProcessID":"4172"}},"Security":{"#attributes":{"UserID":"S-1-5-18"}}},
        "EventData":{"Computer":"claimed","Channel":"System","Level":"7","Own":"own","Own_Attribute":"x"}}}"##;
    for (field, expected) in [
        ("Computer", Some("real")),
        ("Channel", Some("Security")),
        ("EventID", Some("1102")),
        ("EventID_Qualifiers", Some("16384")),
        ("Execution_ProcessID", Some("4172")),
        ("Security_UserID", Some("S-1-5-18")),
        ("Own", Some("own")),
        ("Own_Attribute", Some("x")),
        // An empty element of System gives way.
        ("Level", Some("7")),
        ("Security", None),
        ("Execution_ThreadID", None),
        // The raw path of anything is a name too.
        ("Event.EventData.Computer", Some("claimed")),
        ("Event.System.Computer", Some("real")),
    ] {
        expect(
            field,
            record,
            expected.map(|text| vec![Some(text)]).as_deref(),
        );
    }
}

#[test]
fn user_data_drops_its_wrapper() {
    let record = r##"{"Event":{"System":{"EventID":104,"Channel":"Security"},"UserData":{"LogFileCleared":{"#attributes":{"xmlns":"http://x"},"SubjectUserName":"admmig","Channel":"System","BackupPath":null}}}}"##;
    expect("SubjectUserName", record, Some(&[Some("admmig")]));
    expect("Channel", record, Some(&[Some("Security")]));
    expect("BackupPath", record, Some(&[None]));
    expect("xmlns", record, None);
    let flat =
        r#"{"log_name":"x","event_id":5858,"user_data":{"Operation":"Start","xml_name":"y"}}"#;
    expect("Operation", flat, Some(&[Some("Start")]));
}

#[test]
fn data_without_names_is_many_valued() {
    for data in [
        r##"{"#text":["a","b"]}"##,
        r#"["a","b"]"#,
        r##"[{"#text":"a"},{"#text":"b"}]"##,
    ] {
        let record = format!(
            r#"{{"Event":{{"System":{{"EventID":1}},"EventData":{{"Data":{data},"Binary":null}}}}}}"#
        );
        expect("Data", &record, Some(&[Some("a"), Some("b")]));
        expect("Binary", &record, Some(&[None]));
    }
    expect(
        "Data",
        r##"{"EventData":{"Data":{"#text":"one"}}}"##,
        Some(&[Some("one")]),
    );
    expect(
        "Data",
        r#"{"EventData":{"Data":"one"}}"#,
        Some(&[Some("one")]),
    );
    expect("Data", r#"{"EventData":null}"#, None);
    expect("Data", r#"{"EventData":{"Data":[]}}"#, Some(&[]));
}

#[test]
fn exact_names_win_over_aliases() {
    expect(
        "ThreatName",
        r#"{"EventData":{"Threat Name":"alias","ThreatName":"exact"}}"#,
        Some(&[Some("exact")]),
    );
    expect(
        "ThreatName",
        r#"{"EventData":{"ThreatName":"exact","Threat Name":"alias"}}"#,
        Some(&[Some("exact")]),
    );
    expect(
        "Provider_Name",
        r#"{"SourceName":"alias","Provider_Name":"exact"}"#,
        Some(&[Some("exact")]),
    );
    expect(
        "Computer",
        r#"{"Computer":"exact","Hostname":"alias"}"#,
        Some(&[Some("exact")]),
    );
    expect(
        "Computer",
        r#"{"Computer":null,"Hostname":"alias"}"#,
        Some(&[Some("alias")]),
    );
    expect(
        "SourceName",
        r#"{"SourceName":"itself"}"#,
        Some(&[Some("itself")]),
    );
}

#[test]
fn field_names_have_case_and_values_are_text() {
    expect(
        "payload",
        r#"{"Payload":"a","payload":"b"}"#,
        Some(&[Some("b")]),
    );
    expect(
        "Payload",
        r#"{"Payload":"a","payload":"b"}"#,
        Some(&[Some("a")]),
    );
    expect(
        "Initiated",
        r#"{"EventData":{"Initiated":true}}"#,
        Some(&[Some("true")]),
    );
    expect(
        "LogonType",
        r#"{"EventData":{"LogonType":3}}"#,
        Some(&[Some("3")]),
    );
}

#[test]
fn classes_come_from_channel_event_id_and_event_type() {
    assert_eq!(
        classes_of(r#"{"Channel":"security","EventID":"4688"}"#),
        [windows("process_creation", "security")]
    );
    assert_eq!(
        classes_of(
            r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":12,"EventType":"DeleteKey"}"#
        ),
        [
            windows("registry_delete", "sysmon"),
            windows("registry_event", "sysmon")
        ]
    );
    assert_eq!(
        classes_of(r#"{"Channel":"Nobody/Knows","EventID":1}"#),
        [windows("", "")]
    );
    assert_eq!(classes_of("{}"), [windows("", "")]);
    assert_eq!(
        classes_of(r#"{"Channel":7,"EventID":{"x":1}}"#),
        [windows("", "")]
    );
    // The header follows the same order of places as fields do.
    assert_eq!(
        classes_of(
            r#"{"EventData":{"Channel":"System","EventID":9},"System":{"Channel":"Security","EventID":4624}}"#
        ),
        [windows("", "security")]
    );
}

#[test]
fn classes_are_numbered_as_they_are_met_and_stay() {
    let mut decoder = Decoder::new(spec(Format::Windows, &[])).unwrap();
    assert_eq!(decoder.classes().len(), 1);
    let security = r#"{"Channel":"Security","EventID":1}"#;
    let process = r#"{"Channel":"Security","EventID":4688}"#;
    let first = decoder.decode(rows(&[security, "{}", process]), NOW);
    let before = decoder.classes().to_vec();
    let second = decoder.decode(rows(&[process, security, r#"{"Channel":"System"}"#]), NOW);
    let ids = |batch: &RecordBatch| (0..3).map(|row| class(batch, row)).collect::<Vec<_>>();
    assert_eq!(ids(&first.batch), [1, 0, 2]);
    assert_eq!(ids(&second.batch), [2, 1, 3]);
    assert_eq!(decoder.classes()[..3], before);
}

#[test]
fn alternatives_fill_fields_that_are_absent_in_their_class_only() {
    let process = r#"{"Channel":"Security","EventID":4688,"NewProcessName":"C:\\Windows\\System32\\new.exe","ParentProcessName":"p"}"#;
    expect(
        "Image",
        process,
        Some(&[Some("C:\\Windows\\System32\\new.exe")]),
    );
    expect("ParentImage", process, Some(&[Some("p")]));
    expect(
        "NewProcessName",
        process,
        Some(&[Some("C:\\Windows\\System32\\new.exe")]),
    );
    let both = r#"{"Channel":"Security","EventID":4688,"NewProcessName":"new","Image":"own"}"#;
    expect("Image", both, Some(&[Some("own")]));
    expect(
        "Image",
        r#"{"Channel":"Security","EventID":4624,"NewProcessName":"new"}"#,
        None,
    );
    let threat = r#"{"Event":{"System":{"Channel":"Microsoft-Windows-Windows Defender/Operational","EventID":1116},"EventData":{"Threat Name":"HackTool","Path":"file:_x"}}}"#;
    expect("Signature", threat, Some(&[Some("HackTool")]));
    expect("Filename", threat, Some(&[Some("file:_x")]));
    // The helper columns do not show.
    let decoded = decode_one(Format::Windows, &["Image"], process);
    assert_eq!(decoded.batch.num_columns(), 4);
}

#[test]
fn objects_at_the_top_level_are_text_but_elements_are_not() {
    expect(
        "host",
        r#"{"host":{"name":"x"}}"#,
        Some(&[Some(r#"{"name":"x"}"#)]),
    );
    expect("host.name", r#"{"host":{"name":"x"}}"#, Some(&[Some("x")]));
    expect(
        "Provider",
        r##"{"System":{"Provider":{"#attributes":{"Name":"x"}}}}"##,
        None,
    );
}

#[test]
fn the_same_name_by_two_paths_in_one_object_is_no_duplicate() {
    let record = r#"{"EventData.Image":"x","Event.EventData.Image":"y"}"#;
    expect("Image", record, Some(&[Some("x"), Some("y")]));
}

#[test]
fn time_is_the_systems_before_the_shippers() {
    for (record, expected) in [
        (
            r#"{"@timestamp":"1970-01-01T00:00:09Z","System":{"TimeCreated":{"SystemTime":"1970-01-01T00:00:01Z"}}}"#,
            1,
        ),
        (
            r#"{"EventTime":"1970-01-01 00:00:09","@timestamp":"1970-01-01T00:00:02Z"}"#,
            2,
        ),
        (
            r#"{"EventTime":"1970-01-01 00:00:09","UtcTime":"1970-01-01 00:00:03"}"#,
            3,
        ),
        (r#"{"EventTime":"1970-01-01 00:00:04"}"#, 4),
        (r#"{"TimeCreated":"/Date(5000)/"}"#, 5),
        (r#"{"EventData":{"UtcTime":"1970-01-01 00:00:06.000"}}"#, 6),
    ] {
        let decoded = decode_one(Format::Windows, &[], record);
        assert_eq!(
            time(&decoded.batch, 0),
            expected * 1_000_000_000,
            "{record}"
        );
        assert_eq!(decoded.untimed, 0);
    }
}
