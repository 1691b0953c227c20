"""ClusterMesh: a server for other clusters and for our agents, and the clients that connect from pods.

One protocol takes the place of etcd's: over mutual TLS of the shared authority the server writes a
line of JSON whenever what it knows changes, and every few seconds in between.
"""
