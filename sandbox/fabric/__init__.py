"""The emulated network: what Azure's fabric does with packets, in namespaces and nftables.

Seen in Azure's documentation: security groups by priority, inbound subnet before interface, stateful;
the default rules' tags; peering in two halves, not transitive; silent gateways; the resolver exempt from
security groups; standard public addresses closed until a rule opens them; no default way out; user-defined
routes, followed where a packet is sent (`routes.py`); IP forwarding of the interface on both sides.

Believed, or other than on Azure:

- A flow that is established outlives an edited rule for ever; Azure ends it after some minutes at most.
- `allow_access` false drops what this network sends to the peer, and takes the peer out of the tag
  VirtualNetwork, whose default rules then refuse what the peer sends.
- Forwarded packets are dropped where the receiving half does not allow them; Azure does not always.
- Without a public address, and for destinations that do not exist, a packet is answered with ICMP
  unreachable; Azure is silent.
- One packet costs one time to live per router, none on Azure. There is no IPv6.
"""
