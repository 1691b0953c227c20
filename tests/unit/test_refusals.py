"""Bad topologies, one a row, each with all that a person reads about it after the file's name."""
# ruff: noqa: E501 - a message stands in one line, as it is read

from pathlib import Path
from typing import Any

import pytest

from roachmesh import topology
from roachmesh.errors import InvalidTopology
from roachmesh.topology import Topology

# fmt: off
WHOLE = [
    ("", "1:1: topology: is empty; write `key: value` on lines of their own, the keys being name, regions, access, time, cockroachdb, database, pooler, application, k3s, cilium, image, expires."),
    ("- eastus", "1:1: topology: a list is no mapping; write `key: value` on lines of their own, the keys being name, regions, access, time, cockroachdb, database, pooler, application, k3s, cilium, image, expires."),
    ("three regions, please", "1:1: topology: 'three regions, please' is no mapping; write `key: value` on lines of their own, the keys being name, regions, access, time, cockroachdb, database, pooler, application, k3s, cilium, image, expires."),
    ("name: a\n---\nname: b", "2:1: a second document begins here; write one topology per file."),
    ("regions:", "1:9: regions: is empty; write one, each item after `- `."),
    ("regions: {eastus: 3}", "1:10: regions: a mapping is no list; write one, each item after `- `."),
    ("regions: []", "1:10: regions: is empty; write 1 or more."),
    ("regoins: []", "1:1: regoins: there is no such key; did you mean `regions`?"),
    ("name: no", "1:7: name: false is no text; write it in quotes, as YAML takes yes, no, on and off for that."),
    ("name: 2026-01-01", "1:7: name: '2026-01-01' does not fit; write 1 to 24 small letters, digits and hyphens, beginning with a letter, such as eastus."),
    ("name: 12", "1:7: name: 12 is a number and text is needed; write it in quotes: \"12\"."),
    ("name: Demo", "1:7: name: 'Demo' does not fit; write demo."),
    ("name: my cluster", "1:7: name: 'my cluster' does not fit; write mycluster."),
    ("name: -demo", "1:7: name: '-demo' does not fit; write 1 to 24 small letters, digits and hyphens, beginning with a letter, such as eastus."),
    ("name: demo-", "1:7: name: 'demo-' does not fit; write 1 to 24 small letters, digits and hyphens, beginning with a letter, such as eastus."),
    ("name: nnnnnnnnnnnnnnnnnnnnnnnnn", "1:7: name: 'nnnnnnnnnnnnnnnnnnnnnnnnn' does not fit; write 1 to 24 small letters, digits and hyphens, beginning with a letter, such as eastus."),
    ("name: \"\"", "1:7: name: '' does not fit; write 1 to 24 small letters, digits and hyphens, beginning with a letter, such as eastus."),
    ("name: a\nname: b", "2:1: name: this key stands in line 1 already; keep one of them."),
    ("name: *a", "1:7: aliases and anchors (* and &) are refused; write the value out."),
    ("name: &a b", "1:7: aliases and anchors (* and &) are refused; write the value out."),
    ("name: !!str b", "1:7: the tag 'tag:yaml.org,2002:str' is refused; write plain values."),
    ("? [a]\n: b", "1:3: a key is a single word; this is a list or mapping."),
    ("<<: {name: a}", "1:1: '<<': there is no such key; write one of name, regions, access, time, cockroachdb, database, pooler, application, k3s, cilium, image, expires."),
    ("name: [unclosed\nregions: ]]", "2:8: this is not YAML: did not find expected ',' or ']' while parsing a flow sequence from line 1; mind colons, quotes, brackets and indentation up to here."),
    ("name: a\n\tregions: 1", "2:1: this is not YAML: a tab; indent with spaces."),
    ("name: a: b", "1:8: this is not YAML: mapping values are not allowed in this context; mind colons, quotes, brackets and indentation up to here."),
    ("cockroachdb: {version: latest}", "1:24: cockroachdb.version: 'latest' does not fit; write a release in full, such as v26.2.2."),
    ("cockroachdb: {version: 26.2.2}", "1:24: cockroachdb.version: '26.2.2' does not fit; write v26.2.2."),
    ("cockroachdb: {version: v26.2}", "1:24: cockroachdb.version: 'v26.2' does not fit; write a release in full, such as v26.2.2."),
    ("cockroachdb: {version: 26.2}", "1:24: cockroachdb.version: '26.2' does not fit; write a release in full, such as v26.2.2."),
    ("cockroachdb: {version: v23.2.9}", "1:24: cockroachdb.version: v23.2.9 is older than v24.3.0, the oldest that is supported; write v26.2.2, for instance."),
    ("cockroachdb: v26.2.2", "1:14: cockroachdb: 'v26.2.2' is no mapping; write `key: value` on lines of their own, the keys being version, settings, split_ca."),
    ("cockroachdb:", "1:13: cockroachdb: is empty; write `key: value` on lines of their own, the keys being version, settings, split_ca."),
    ("cockroachdb: {settings: [{name: kv.rangefeed.enabled, value: true}]}", "1:62: cockroachdb.settings[0].value: true is no text; write it in quotes, as YAML takes yes, no, on and off for that."),
    ("cockroachdb: {settings: [{name: a.b, value: x y}]}", "1:45: cockroachdb.settings[0].value: 'x y' does not fit; write a value in quotes, of letters, digits, dots, hyphens, underscores."),
    ("cockroachdb: {settings: [{name: enterprise.license, value: crl-0}]}", "1:33: cockroachdb.settings[0].name: enterprise.license is kept out of topologies; write it into a block CockroachDB Licence."),
    ("cockroachdb: {settings: [{name: a.b, value: '1'}, {name: a.b, value: '2'}]}", "1:25: cockroachdb.settings: a.b is there twice; write it once."),
    ("database: {name: Movr DB}", "1:18: database.name: 'Movr DB' does not fit; write movr_db."),
    ("database: {name: system}", "1:18: database.name: system is CockroachDB's own; write another, such as movr."),
    ("database: {name: pgbouncer}", "1:18: database.name: pgbouncer is PgBouncer's own; write another, such as movr."),
    ("database: {survival: most}", "1:22: database.survival: 'most' is not known; write 'auto', 'zone' or 'region'."),
    ("database: {users: [{name: root}]}", "1:27: database.users[0].name: root is a name that CockroachDB or Roachmesh keeps; write another, such as app."),
    ("database: {users: [{name: My App}]}", "1:27: database.users[0].name: 'My App' does not fit; write my_app."),
    ("database: {users: [{name: a}, {name: a}]}", "1:19: database.users: a is there twice; write it once."),
    ("database: {users: [{name: a, login: key}]}", "1:37: database.users[0].login: 'key' is not known; write 'password' or 'certificate'."),
    ("cockroachdb: {split_ca: 'yes'}", "1:25: cockroachdb.split_ca: 'yes' is neither true nor false; write one of them."),
    ("pooler: pgcat", "1:9: pooler: 'pgcat' is not known; write 'pgbouncer' or 'none'."),
    ("pooler: pgpool", "1:9: pooler: Pgpool-II ends every session with CockroachDB, since it insists on a version() of PostgreSQL's; write pgbouncer."),
    ("access: {nodeport_cidrs: [10.0.0.0/8, 10.1.0.0/16]}", "1:26: access.nodeport_cidrs: 10.0.0.0/8 and 10.1.0.0/16 overlap, which Azure refuses; write only 10.0.0.0/8."),
    ("application: {kind: movr, port: 8080}", "1:33: application.port: is for `kind: image` only; leave it out, or write `kind: image`."),
    ("application: {rate: 10}", "1:21: application.rate: is for `kind: movr` only; leave it out, or write `kind: movr`."),
    ("application: {kind: image, tag: '1', port: 80}", "1:14: application.image: is missing beside `kind: image`; write image: docker.io/sosedoff/pgweb, for instance."),
    ("application: {kind: image, image: 'pgweb:1', tag: '1', port: 80}", "1:35: application.image: 'pgweb:1' does not fit; write an image with its registry and without its tag, such as docker.io/sosedoff/pgweb."),
    ("application: {kind: image, image: a/b, tag: '1', port: 80, environment: [{name: DATABASE_URL, value: x}]}", "1:81: application.environment[0].name: DATABASE_URL is the `url_variable`; leave it out, or write another `url_variable`."),
    ("application: {kind: movr}\ndatabase: {users: [{name: a, login: certificate}]}", "2:19: database.users: none of them has a password and the application needs one; write `- {name: app}` among them."),
    ("{application: {kind: image, image: a/b, tag: '1', port: 80}, regions: [{platform: vm, name: eastus}]}", "1:22: application.kind: images run in regions on k3s and there is none; write `kind: movr`, or a region with `platform: k3s`."),
    ("database: {primary_region: mars}", "1:28: database.primary_region: 'mars' is no region of this topology; write the name of one, such as eastus."),
    ("access: {operator_cidrs: [0.0.0.0/0]}", "1:27: access.operator_cidrs[0]: 0.0.0.0/0 opens SSH to 4,294,967,296 addresses; write your own, such as 203.0.113.7/32."),
    ("access: {operator_cidrs: [64.0.0.0/7]}", "1:27: access.operator_cidrs[0]: 64.0.0.0/7 opens SSH to 33,554,432 addresses; write your own, such as 203.0.113.7/32."),
    ("access: {operator_cidrs: [10.0.0.0/8]}", "1:27: access.operator_cidrs[0]: 10.0.0.0/8 never arrives from the internet, where machines are reached; write the public address that you come from, such as 203.0.113.7/32."),
    ("access: {operator_cidrs: [127.0.0.1/32]}", "1:27: access.operator_cidrs[0]: 127.0.0.1/32 never arrives from the internet, where machines are reached; write the public address that you come from, such as 203.0.113.7/32."),
    ("access: {operator_cidrs: [100.64.0.0/10]}", "1:27: access.operator_cidrs[0]: 100.64.0.0/10 never arrives from the internet, where machines are reached; write the public address that you come from, such as 203.0.113.7/32."),
    ("access: {operator_cidrs: [203.0.113.7]}", "1:27: access.operator_cidrs[0]: '203.0.113.7' is one address; write 203.0.113.7/32 for it alone, or a range such as 203.0.113.0/24."),
    ("access: {operator_cidrs: 203.0.113.7/32}", "1:26: access.operator_cidrs: '203.0.113.7/32' is no list; write ['203.0.113.7/32']."),
    ("access: {operator_cidrs: ['2001:db8::/32']}", "1:27: access.operator_cidrs[0]: '2001:db8::/32' is IPv6 and everything here is IPv4; write a range of IPv4."),
    ("access: {operator_cidrs: [203.0.113.7/32, 203.0.113.0/24]}", "1:26: access.operator_cidrs: 203.0.113.7/32 and 203.0.113.0/24 overlap, which Azure refuses; write only 203.0.113.0/24."),
    ("access: {operator_cidrs: [203.0.113.7/32, 203.0.113.7/32]}", "1:26: access.operator_cidrs: 203.0.113.7/32 and 203.0.113.7/32 overlap, which Azure refuses; write only 203.0.113.7/32."),
    ("time: {ntp_servers: [time server]}", "1:22: time.ntp_servers[0]: 'time server' does not fit; write a host name or IPv4 address, such as time.windows.com."),
    ("time: {ntp_servers: [999.1.1.1]}", "1:22: time.ntp_servers[0]: '999.1.1.1' does not fit; write a host name or IPv4 address, such as time.windows.com."),
    ("time: {ntp_servers: ['::1']}", "1:22: time.ntp_servers[0]: '::1' does not fit; write a host name or IPv4 address, such as time.windows.com."),
    ("time: {ntp_servers: []}", "1:21: time.ntp_servers: is empty; write 1 or more."),
    ("time: {ntp_servers: time.windows.com}", "1:21: time.ntp_servers: 'time.windows.com' is no list; write ['time.windows.com']."),
    ("time: {source: gps}", "1:16: time.source: 'gps' is not known; write 'ptp_hyperv' or 'ntp'."),
    ("image: {publisher: a/b}", "1:20: image.publisher: 'a/b' does not fit; write letters, digits, dots, hyphens and underscores."),
    ("image: {sku: 13-arm64}", "1:14: image.sku: '13-arm64' is for ARM64 and CockroachDB is installed for x86-64; write 13-gen2."),
    ("image: {version: 13}", "1:18: image.version: 13 is a number and text is needed; write it in quotes: \"13\"."),
    ("image: {version: newest}", "1:18: image.version: 'newest' does not fit; write latest, or a version of the image such as 0.20260101.1."),
]
REGIONS = [
    ("{platform: vm, name: esatus}", "2:5: regions[0].location: is missing, and the name 'esatus' is no Azure location; write one, such as eastus."),
    ("{platform: vm, name: east-a}", "2:5: regions[0].location: is missing, and the name 'east-a' is no Azure location; write one, such as eastasia."),
    ("{platform: vm, name: westus, zones: ['1']}", "2:41: regions[0].zones: westus has no availability zones; leave `zones` out."),
    ("{name: westus}", "2:5: regions[0].platform: is missing; write `platform: vm`."),
    ("{platform: vm}", "2:5: regions[0].name: is missing; write `name: eastus`."),
    ("{platform: aws, name: westus}", "2:16: regions[0].platform: 'aws' is not known; write 'k3s' or 'vm'."),
    ("eastus", "2:5: regions[0]: 'eastus' is no mapping; write `key: value` on lines of their own, the keys being platform, name, location, nodes, vnet, subnet, zones, size, os_disk_gib, data_disk_gib, servers, pods, services, cluster_id."),
    ("", "2:4: regions[0]: is empty; write `key: value` on lines of their own, the keys being platform, name, location, nodes, vnet, subnet, zones, size, os_disk_gib, data_disk_gib, servers, pods, services, cluster_id."),
]
IN_A_REGION = [
    ("nodes: three", "2:41: regions[0].nodes: 'three' is no whole number; write one in plain digits, such as 3."),
    ("nodes: 2.5", "2:41: regions[0].nodes: '2.5' is no whole number; write one in plain digits, such as 3."),
    ("nodes: true", "2:41: regions[0].nodes: true is no whole number; write one in plain digits, such as 3."),
    ("nodes: '3'", "2:41: regions[0].nodes: '3' is no plain number; write 3, without quotes or unit."),
    ("nodes: 010", "2:41: regions[0].nodes: '010' is no plain number; write 10, without quotes or unit."),
    ("nodes: 0x10", "2:41: regions[0].nodes: '0x10' is no whole number; write one in plain digits, such as 3."),
    ("nodes: 1_000", "2:41: regions[0].nodes: '1_000' is no whole number; write one in plain digits, such as 3."),
    ("nodes: 10:20", "2:41: regions[0].nodes: '10:20' is no whole number; write one in plain digits, such as 3."),
    ("nodes: 0", "2:41: regions[0].nodes: 0 is too small; write 1 or more."),
    ("nodes: -1", "2:41: regions[0].nodes: -1 is too small; write 1 or more."),
    ("nodes: 201", "2:41: regions[0].nodes: 201 is too large; write 200 or less."),
    ("nodes: .nan", "2:41: regions[0].nodes: '.nan' is no whole number; write one in plain digits, such as 3."),
    ("nodes:", "2:39: this is not YAML: found unexpected ':' while scanning a plain scalar from line 2; mind colons, quotes, brackets and indentation up to here."),
    ("nodes: [3]", "2:41: regions[0].nodes: a list is no whole number; write one in plain digits, such as 3."),
    ("vnet: 10.1.0.1/16", "2:40: regions[0].vnet: '10.1.0.1/16' has bits set behind its prefix; write 10.1.0.0/16."),
    ("vnet: 10.1.0.0", "2:40: regions[0].vnet: '10.1.0.0' is one address; write 10.1.0.0/32 for it alone, or a range such as 10.1.0.0/24."),
    ("vnet: 10.1.0.0/33", "2:40: regions[0].vnet: '10.1.0.0/33' is no address range; write one such as 10.1.0.0/16."),
    ("vnet: 10.1.0.0/255.255.0.0", "2:40: regions[0].vnet: '10.1.0.0/255.255.0.0' is written unusually; write 10.1.0.0/16."),
    ("vnet: 010.1.0.0/16", "2:40: regions[0].vnet: '010.1.0.0/16' is no address range; write one such as 10.1.0.0/16."),
    ("vnet: 167837696", "2:40: regions[0].vnet: 167837696 is no address range; write one such as 10.1.0.0/16."),
    ("vnet: [10.1.0.0/16]", "2:40: regions[0].vnet: a list is no address range; write one such as 10.1.0.0/16."),
    ("vnet: fd00::/8", "2:40: regions[0].vnet: 'fd00::/8' is IPv6 and everything here is IPv4; write a range of IPv4."),
    ("vnet: 8.8.0.0/16", "2:40: regions[0].vnet: 8.8.0.0/16 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 10.0.0.0/7", "2:40: regions[0].vnet: 10.0.0.0/7 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 224.0.0.0/4", "2:40: regions[0].vnet: 224.0.0.0/4 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 169.254.0.0/16", "2:40: regions[0].vnet: 169.254.0.0/16 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 127.0.0.0/8", "2:40: regions[0].vnet: 127.0.0.0/8 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 168.63.129.16/32", "2:40: regions[0].vnet: 168.63.129.16/32 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 255.255.255.255/32", "2:40: regions[0].vnet: 255.255.255.255/32 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("vnet: 10.1.0.0/30", "2:40: regions[0].vnet: 10.1.0.0/30 is too small, Azure's smallest range is a /29; write a larger one."),
    ("vnet: 10.1.0.0/16, subnet: 10.2.0.0/24", "2:61: regions[0].subnet: 10.2.0.0/24 is not inside `vnet` 10.1.0.0/16; write a part, such as 10.1.1.0/24."),
    ("vnet: 10.1.0.0/16, subnet: 10.1.0.0/30", "2:61: regions[0].subnet: 10.1.0.0/30 is too small, Azure's smallest range is a /29; write a larger one."),
    ("subnet: 10.2.0.0/24", "2:5: regions[0].vnet: is missing beside `subnet` 10.2.0.0/24; write the range around it, such as 10.2.0.0/16."),
    ("vnet: 10.1.0.0/28, nodes: 12", "2:40: regions[0].vnet: 10.1.0.0/28 has room for 11 nodes and 12 are asked for; write a /27 or larger."),
    ("vnet: 10.1.0.0/16, subnet: 10.1.0.0/29, nodes: 4", "2:61: regions[0].subnet: 10.1.0.0/29 has room for 3 nodes and 4 are asked for; write a /28 or larger."),
    ("size: Standard_B1s", "2:40: regions[0].size: Standard_B1s has 1 vCPU and CockroachDB needs 2; write Standard_D4s_v5, for instance."),
    ("size: Standard_DS11-1_v2", "2:40: regions[0].size: Standard_DS11-1_v2 has 1 vCPU and CockroachDB needs 2; write Standard_D4s_v5, for instance."),
    ("size: Standard_D4_v5", "2:40: regions[0].size: Standard_D4_v5 cannot have the Premium SSDs that nodes store on (its name lacks the `s`); write Standard_D4s_v5, for instance."),
    ("size: Standard_D4ps_v5", "2:40: regions[0].size: Standard_D4ps_v5 has an ARM64 processor and the machines' image and CockroachDB are for x86-64; write Standard_D4s_v5, for instance."),
    ("size: Standard_B2ms", "2:40: regions[0].size: Standard_B2ms has no accelerated networking; write Standard_D4s_v5, for instance."),
    ("size: D4s_v5", "2:40: regions[0].size: 'D4s_v5' does not fit; write Standard_D4s_v5."),
    ("size: standard_d4s_v5", "2:40: regions[0].size: 'standard_d4s_v5' does not fit; write Standard_D4s_v5."),
    ("size: large", "2:40: regions[0].size: 'large' does not fit; write an Azure VM size, such as Standard_D4s_v5."),
    ("zones: [1, 2]", "2:42: regions[0].zones[0]: 1 is a number and text is needed; write '1', '2' or '3', with quotes.\n2:45: regions[0].zones[1]: 2 is a number and text is needed; write '1', '2' or '3', with quotes."),
    ("zones: ['1', '1']", "2:47: regions[0].zones[1]: '1' is written twice; write each zone once."),
    ("zones: ['4']", "2:42: regions[0].zones[0]: '4' is not known; write '1', '2' or '3'."),
    ("zones: ['']", "2:42: regions[0].zones[0]: '' is not known; write '1', '2' or '3'."),
    ("zones: '1'", "2:41: regions[0].zones: '1' is no list; write ['1']."),
    ("zones: 2", "2:41: regions[0].zones: 2 is no list; write one, each item after `- `."),
    ("location: esatus", "2:44: regions[0].location: 'esatus' is no Azure location (as of 2026-11); write one, such as eastus."),
    ("location: East US", "2:44: regions[0].location: 'East US' does not fit; write eastus."),
    ("location: moon", "2:44: regions[0].location: 'moon' is no Azure location (as of 2026-11); write one, such as eastus."),
    ("os_disk_gib: 29", "2:47: regions[0].os_disk_gib: 29 is too small; write 30 or more."),
    ("os_disk_gib: 4096", "2:47: regions[0].os_disk_gib: 4096 is too large; write 4095 or less."),
    ("data_disk_gib: 3", "2:49: regions[0].data_disk_gib: 3 is too small; write 4 or more."),
    ("data_disk_gib: 32768", "2:49: regions[0].data_disk_gib: 32768 is too large; write 32767 or less."),
    ("data_disk_gib: 128 GiB", "2:49: regions[0].data_disk_gib: '128 GiB' is no plain number; write 128, without quotes or unit."),
    ("vnett: 10.1.0.0/16", "2:34: regions[0].vnett: there is no such key; did you mean `vnet`?"),
    ("node: 3", "2:34: regions[0].node: there is no such key; did you mean `nodes`?"),
    ("pods: 10.10.0.0/16", "2:40: regions[0].pods: is for k3s only; leave it out, or write `platform: k3s`."),
    ("servers: 3", "2:43: regions[0].servers: is for k3s only; leave it out, or write `platform: k3s`."),
    ("disk: 3", "2:34: regions[0].disk: there is no such key; write one of platform, name, location, nodes, vnet, subnet, zones, size, os_disk_gib, data_disk_gib, servers, pods, services, cluster_id."),
]
K3S_FIELDS = [
    ("servers: 2", "2:44: regions[0].servers: 2 etcd members survive no more losses than 1; write an odd number, such as 1."),
    ("servers: 5", "2:44: regions[0].servers: 5 is more than the region has `nodes`, 3; write fewer servers."),
    ("servers: 9", "2:44: regions[0].servers: 9 is too large; write 7 or less."),
    ("servers: 0", "2:44: regions[0].servers: 0 is too small; write 1 or more."),
    ("pods: 10.10.0.0/23", "2:41: regions[0].pods: 10.10.0.0/23 is too small, each of 3 nodes gets a /24 of it; write a /22 or larger."),
    ("pods: 10.10.0.0/25", "2:41: regions[0].pods: 10.10.0.0/25 is too small, each of 3 nodes gets a /24 of it; write a /22 or larger."),
    ("pods: 10.1.0.0/20, vnet: 10.1.0.0/16", "2:41: regions[0].pods: 10.1.0.0/20 overlaps 10.1.0.0/16, `vnet`, and no address may exist twice among them; write a range of its own, such as 10.10.0.0/16."),
    ("pods: 100.64.0.0/16", "2:41: regions[0].pods: 100.64.0.0/16 is not private; write a part of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, such as 10.1.0.0/16."),
    ("services: 10.20.0.0/25", "2:45: regions[0].services: 10.20.0.0/25 does not fit Kubernetes; write a range from /12 to /24."),
    ("services: 10.0.0.0/11", "2:45: regions[0].services: 10.0.0.0/11 does not fit Kubernetes; write a range from /12 to /24."),
    ("cluster_id: 0", "2:47: regions[0].cluster_id: 0 is too small; write 1 or more."),
    ("cluster_id: 256", "2:47: regions[0].cluster_id: 256 is too large; write 255 or less."),
]
SEVERAL_REGIONS = [
    (
        ["{platform: k3s, name: eastus, cluster_id: 7}", "{platform: k3s, name: westus, cluster_id: 7}"],
        "3:47: regions[1].cluster_id: 7 is the id of regions[0] already, and a mesh tells clusters apart by it; give each its own, or leave it out.",
    ),
    (
        ["{platform: k3s, name: eastus, pods: 10.50.0.0/16}", "{platform: vm, name: westus, vnet: 10.50.0.0/16}"],
        "3:40: regions[1].vnet: 10.50.0.0/16 overlaps 10.50.0.0/16, regions[0].pods, and no address may exist twice among them; write a range of its own, such as 10.1.0.0/16.",
    ),
    (
        ["{platform: k3s, name: eastus, nodes: 200}", "{platform: k3s, name: westus, nodes: 200}", "{platform: k3s, name: uksouth, nodes: 1}"],
        "2:3: regions: 401 nodes are on k3s, each needs a route in every region, and Azure allows 400 in a route table; write 400 nodes or fewer, the others with `platform: vm`.",
    ),
    (
        [f"{{platform: k3s, name: r{i}, location: eastus, nodes: 1}}" for i in range(256)],
        "2:3: regions: 256 are on k3s and a mesh has 255 clusters at most; write 255 or fewer, the others with `platform: vm`.\n"
        "2:3: regions: 10.0.0.0/8 has no free /16 left for the regions without `vnet`, `pods` or `services`; write smaller ones for each.",
    ),
    (
        ["{platform: vm, name: eastus}", "{platform: vm, name: eastus}"],
        "3:26: regions[1].name: 'eastus' is the name of regions[0] already; give each its own.",
    ),
    (
        ["{platform: vm, name: eastus, vnet: 10.1.0.0/16}", "{platform: vm, name: westus, vnet: 10.1.128.0/17}"],
        "3:40: regions[1].vnet: 10.1.128.0/17 overlaps 10.1.0.0/16, regions[0].vnet, and no address may exist twice among them; write a range of its own, such as 10.2.0.0/16.",
    ),
    (
        ["{platform: vm, name: eastus, vnet: 10.1.128.0/17}", "{platform: vm, name: westus, vnet: 10.1.0.0/16}"],
        "3:40: regions[1].vnet: 10.1.0.0/16 overlaps 10.1.128.0/17, regions[0].vnet, and no address may exist twice among them; write a range of its own, such as 10.2.0.0/16.",
    ),
    (
        ["{platform: vm, name: eastus}", "{platform: vm, name: china, location: chinanorth3, nodes: 0}"],
        "3:43: regions[1].location: chinanorth3 is in Azure operated by 21Vianet and regions[0] in Azure's public cloud, and a subscription is in one cloud only; write a location of the same.\n"
        "3:63: regions[1].nodes: 0 is too small; write 1 or more.",
    ),
    (
        ["{platform: vm, name: eastus, vnet: 10.0.0.0/8}", "{platform: vm, name: westus}"],
        "2:3: regions: 10.0.0.0/8 has no free /16 left for the regions without `vnet`, `pods` or `services`; write smaller ones for each.",
    ),
    (
        ["{platform: vm, name: eastus, size: Standard_B1s}", "{platform: vm, name: eastus, nodes: 0}"],
        "2:40: regions[0].size: Standard_B1s has 1 vCPU and CockroachDB needs 2; write Standard_D4s_v5, for instance.\n"
        "3:26: regions[1].name: 'eastus' is the name of regions[0] already; give each its own.\n"
        "3:41: regions[1].nodes: 0 is too small; write 1 or more.",
    ),
]
# fmt: on


def refusal(path: Path, text: str) -> str:
    """Load a topology and give what is said of it, without the file's name."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidTopology) as refused:
        topology.load(path)
    assert refused.value.exit_code == 2
    lines = str(refused.value).splitlines()
    return "\n".join(line.removeprefix(f"{path}:") for line in lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topology.yaml"


@pytest.mark.parametrize(("text", "message"), WHOLE)
def test_a_bad_topology_is_refused(path: Path, text: str, message: str) -> None:
    assert refusal(path, text) == message


@pytest.mark.parametrize(("text", "message"), IN_A_REGION)
def test_a_bad_field_of_a_region_is_refused(path: Path, text: str, message: str) -> None:
    assert refusal(path, f"regions:\n  - {{platform: vm, name: eastus, {text}}}\n") == message


@pytest.mark.parametrize(("text", "message"), REGIONS)
def test_a_bad_region_is_refused(path: Path, text: str, message: str) -> None:
    assert refusal(path, f"regions:\n  - {text}\n") == message


@pytest.mark.parametrize(("text", "message"), K3S_FIELDS)
def test_a_field_of_k3s_that_cannot_work_is_refused(path: Path, text: str, message: str) -> None:
    assert refusal(path, f"regions:\n  - {{platform: k3s, name: eastus, {text}}}\n") == message


@pytest.mark.parametrize(("regions", "message"), SEVERAL_REGIONS)
def test_regions_that_do_not_fit_together_are_refused(path: Path, regions: list[str], message: str) -> None:
    text = "regions:\n" + "".join(f"  - {region}\n" for region in regions)

    assert refusal(path, text) == message


def test_every_bad_topology_says_what_to_write_or_to_remove_instead() -> None:
    messages = [message for table in (WHOLE, REGIONS, IN_A_REGION) for _, message in table]
    messages += [message for _, message in SEVERAL_REGIONS]
    verbs = ("write ", "keep ", "give ", "leave ", "indent ", "did you mean ", "mind ")

    assert len(messages) > 100
    assert [
        line
        for message in messages
        for line in message.splitlines()
        if not any(verb in line for verb in verbs)
    ] == ["1:3: a key is a single word; this is a list or mapping."]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(path: Path) -> None:
    text = """\
name: Demo
regions:
  - platform: vm
    name: eastus
    vnet: 10.1.0.1/16
    vnett: 10.1.0.0/16
    nodes: three
  - platform: vm
    name: eastus
    nodes: 3
    nodes: 4
acess: {}
"""

    assert refusal(path, text).splitlines() == [
        "1:7: name: 'Demo' does not fit; write demo.",
        "5:11: regions[0].vnet: '10.1.0.1/16' has bits set behind its prefix; write 10.1.0.0/16.",
        "6:5: regions[0].vnett: there is no such key; did you mean `vnet`?",
        "7:12: regions[0].nodes: 'three' is no whole number; write one in plain digits, such as 3.",
        "9:11: regions[1].name: 'eastus' is the name of regions[0] already; give each its own.",
        "11:5: regions[1].nodes: this key stands in line 10 already; keep one of them.",
        "12:1: acess: there is no such key; did you mean `access`?",
    ]


def test_of_many_mistakes_the_first_twenty_are_told(path: Path) -> None:
    lines = refusal(path, "".join(f"key{i}: 1\n" for i in range(30))).splitlines()

    assert len(lines) == 21
    assert lines[19].startswith("20:1: key19: ")
    assert lines[20] == "and 10 more."


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"regions": [{"platform": "vm", "name": "eastus", "nodes": "3"}]},
            "regions[0].nodes: '3' is no plain number; write 3, without quotes or unit.",
        ),
        (
            {"regions": [{"platform": "vm", "name": "eastus", "nodes": 2.5}]},
            "regions[0].nodes: a fraction is no whole number; write one in plain digits, such as 3.",
        ),
        (
            {"regions": [{"platform": "vm", "name": "eastus", "nodes": 10**5000}]},
            "regions[0].nodes: a huge number is too large; write 200 or less.",
        ),
        (
            {"regions": [{"platform": "vm", "name": "eastus", "vnet": 1}]},
            "regions[0].vnet: 1 is no address range; write one such as 10.1.0.0/16.",
        ),
        (
            {"regions": [{"platform": "vm", "name": "eastus", "vnet": None, "location": False}]},
            "regions[0].location: false is no text; write it in quotes, as YAML takes yes, no, on and off for that.",
        ),
        (
            {"access": {"operator_cidrs": 10**5000}},
            "access.operator_cidrs: a huge number is no list; write one, each item after `- `.",
        ),
        ({"image": {"sku": ["a"]}}, "image.sku: a list is no text; write a word, or leave the key out."),
        (
            None,
            "topology: is empty; write `key: value` on lines of their own, the keys being name, regions, access, time, cockroachdb, database, pooler, application, k3s, cilium, image, expires.",
        ),
        ({1: 2}, "[1]: Keys should be strings"),
    ],
)
def test_a_document_from_a_form_is_refused_without_line_numbers(document: object, message: str) -> None:
    with pytest.raises(InvalidTopology) as refused:
        topology.parse(document)

    assert str(refused.value) == message


def test_the_model_itself_says_the_same_so_that_a_flows_parameter_does() -> None:
    document = {
        "regions": [{"platform": "vm", "name": "eastus"}, {"platform": "vm", "name": "eastus", "nodes": 0}]
    }

    with pytest.raises(ValueError, match="is the name of regions") as refused:
        Topology.model_validate(document)

    errors: list[dict[str, Any]] = refused.value.errors()
    assert {error["type"] for error in errors} == {"refused"}
    assert [error["loc"] for error in errors] == [("regions", 1, "nodes"), ("regions", 1, "name")]


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_a_number_of_nodes_that_is_merely_unwise_is_accepted(nodes: int) -> None:
    accepted = topology.parse({"regions": [{"platform": "vm", "name": "eastus", "nodes": nodes}]})

    assert accepted.regions[0].nodes == nodes
