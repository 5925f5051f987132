#!/usr/bin/env python3
"""A Kafka client that is not ours: what the tests check haechi's topics with.

  kafka_client.py BROKER create TOPIC:PARTITIONS[:KEY=VALUE,…]…
  kafka_client.py BROKER delete TOPIC                   and wait until it is gone; create waits until it is there
  kafka_client.py BROKER grow TOPIC PARTITIONS          until it has so many
  kafka_client.py BROKER produce TOPIC [N] < LINES      one record a line, spread over the (first N) partitions in turn
  kafka_client.py BROKER produce-records TOPIC < LINES  one record a line: {"hex": … or null, "partition", "key", "headers", "timestamp"}
  kafka_client.py BROKER read TOPIC                     all that is there, read committed, one JSON object a line
  kafka_client.py BROKER wait TOPIC COUNT SECONDS       until there are so many, read committed
  kafka_client.py BROKER topics -                       {topic: partitions}
  kafka_client.py BROKER settings TOPIC                 those that are the topic's own
  kafka_client.py BROKER offsets TOPIC GROUP            {partition: [committed or null, end]}
  kafka_client.py BROKER assigned TOPIC GROUP           the partitions that members of a group own
  kafka_client.py BROKER cut TOPIC PARTITION:OFFSET…    deletes the records before these offsets; -1 is the end

`read` prints {"partition", "offset", "timestamp" (ms), "key", "headers", "value" (text) or "hex"}.
"""

import json
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

TIMEOUT = 30.0


def create(broker, *topics):
    wanted = []
    for topic in topics:
        name, partitions, *settings = topic.split(":", 2)
        config = dict(setting.split("=", 1) for setting in settings[0].split(",")) if settings else {}
        wanted.append(NewTopic(name, int(partitions), -1, config=config))
    admin = AdminClient({"bootstrap.servers": broker})
    for future in admin.create_topics(wanted).values():
        future.result(TIMEOUT)
    until(lambda: all(led(admin, topic.topic) for topic in wanted), f"{topics}: not there")


def delete(broker, topic):
    admin = AdminClient({"bootstrap.servers": broker})
    for future in admin.delete_topics([topic]).values():
        future.result(TIMEOUT)
    until(lambda: topic not in admin.list_topics(timeout=TIMEOUT).topics, f"{topic}: still there")


def grow(broker, topic, partitions):
    admin = AdminClient({"bootstrap.servers": broker})
    for future in admin.create_partitions([NewPartitions(topic, int(partitions))]).values():
        future.result(TIMEOUT)
    until(lambda: led(admin, topic) and len(led(admin, topic)) == int(partitions), f"{topic}: has not grown")


def led(admin, topic):
    """The partitions of a topic when each has a leader: a broker may know of a topic a little later than the controller."""
    found = admin.list_topics(timeout=TIMEOUT).topics.get(topic)
    return found and all(partition.leader >= 0 for partition in found.partitions.values()) and found.partitions


def until(done, otherwise):
    deadline = time.monotonic() + TIMEOUT
    while not done():
        if time.monotonic() > deadline:
            sys.exit(otherwise)
        time.sleep(0.1)


def produce(broker, topic, records, partitions=None):
    """`records`: keyword arguments of Producer.produce."""
    failures = []
    producer = Producer({
        "bootstrap.servers": broker,
        "enable.idempotence": True,  # offsets follow the order of the lines
        "linger.ms": 20,
        "compression.type": "lz4",
        "message.max.bytes": 64 << 20,
        "queue.buffering.max.kbytes": 1 << 20,
    })
    partitions = int(partitions or len(producer.list_topics(topic, TIMEOUT).topics[topic].partitions))
    for number, record in enumerate(records):
        record.setdefault("partition", number % partitions)
        while True:
            try:
                producer.produce(topic, on_delivery=lambda error, _: error and failures.append(error), **record)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(120)
    if failures or left:
        sys.exit(f"{len(failures)} record(s) failed, {left} not sent: {failures[:1]}")


def lines(stream):
    for line in stream:
        yield {"value": line.rstrip(b"\n")}


def records(stream):
    for line in stream:
        record = json.loads(line)
        value = record.pop("hex")
        yield {"value": None if value is None else bytes.fromhex(value), **record}


def committed(broker, topic, follow=False):
    """Every record of a topic that a reader of committed records sees: up to the end it has now, or without end."""
    consumer = Consumer({
        "bootstrap.servers": broker,
        "group.id": "tests",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": 64 << 20,
    })
    metadata = consumer.list_topics(topic, TIMEOUT).topics[topic]
    if metadata.error is not None:
        sys.exit(f"{topic}: {metadata.error}")
    reading = set(metadata.partitions)
    if not follow:
        until(lambda: settled(broker, consumer, topic, reading), f"{topic}: a transaction is open and does not end")
    consumer.assign([TopicPartition(topic, partition, 0) for partition in reading])
    while reading:
        message = consumer.poll(0.1 if follow else TIMEOUT)
        if message is None:
            if follow:
                yield None
                continue
            sys.exit(f"{topic}: nothing came for {TIMEOUT} s; still reading partitions {sorted(reading)}")
        if message.error() is None:
            yield message
        elif message.error().code() == KafkaError._PARTITION_EOF:
            if not follow:
                reading.discard(message.partition())
        else:
            sys.exit(f"{topic}: {message.error()}")
    consumer.close()


def settled(broker, committed, topic, partitions):
    """Whether no transaction is open: behind it a reader of committed records sees nothing, and takes that for the end."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "tests", "isolation.level": "read_uncommitted"})
    places = [TopicPartition(topic, partition) for partition in partitions]
    ends = [[reader.get_watermark_offsets(place, TIMEOUT)[1] for place in places] for reader in (committed, consumer)]
    consumer.close()
    return ends[0] == ends[1]


def wait(broker, topic, count, seconds):
    deadline = time.monotonic() + float(seconds)
    seen = 0
    for message in committed(broker, topic, follow=True):
        seen += message is not None
        if seen >= int(count):
            return
        if time.monotonic() > deadline:
            sys.exit(f"{topic}: {seen} record(s) after {seconds} s, {count} expected")


def text(data):
    return None if data is None else data.decode("utf-8", "replace")


def show(message):
    record = {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": text(message.key()),
        "headers": {name: text(value) for name, value in message.headers() or []},
    }
    value = message.value()
    try:
        record["value"] = None if value is None else value.decode()
    except UnicodeDecodeError:
        record["hex"] = value.hex()
    print(json.dumps(record))


def settings(broker, topic):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": broker})
    found = admin.describe_configs([resource])[resource].result(TIMEOUT)
    own = {name: entry.value for name, entry in found.items() if entry.source == 1}  # 1: set for this topic
    print(json.dumps(own))


def offsets(broker, topic, group):
    admin = AdminClient({"bootstrap.servers": broker})
    partitions = admin.list_topics(topic, TIMEOUT).topics[topic].partitions
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    future = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])[group]
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "tests"})
    print(json.dumps({
        at.partition: [at.offset if at.offset >= 0 else None, consumer.get_watermark_offsets(at, TIMEOUT)[1]]
        for at in future.result(TIMEOUT).topic_partitions
    }))


def assigned(broker, topic, group):
    admin = AdminClient({"bootstrap.servers": broker})
    members = admin.describe_consumer_groups([group])[group].result(TIMEOUT).members
    places = [place for member in members for place in member.assignment.topic_partitions]
    print(json.dumps(sorted({place.partition for place in places if place.topic == topic})))


def cut(broker, topic, *places):
    admin = AdminClient({"bootstrap.servers": broker})
    pairs = [place.split(":") for place in places]
    before = [TopicPartition(topic, int(partition), int(offset)) for partition, offset in pairs]
    for future in admin.delete_records(before).values():
        future.result(TIMEOUT)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    broker, action, *rest = sys.argv[1:]
    if action == "produce":
        topic, *partitions = rest
        produce(broker, topic, lines(sys.stdin.buffer), *partitions)
    elif action == "produce-records":
        produce(broker, *rest, records(sys.stdin))
    elif action == "read":
        for message in committed(broker, *rest):
            show(message)
    elif action == "topics":
        found = AdminClient({"bootstrap.servers": broker}).list_topics(timeout=TIMEOUT).topics
        print(json.dumps({name: len(topic.partitions) for name, topic in found.items()}))
    elif action in ("create", "delete", "wait", "settings", "offsets", "assigned", "grow", "cut"):
        globals()[action](broker, *rest)
    else:
        sys.exit(__doc__)


main()
