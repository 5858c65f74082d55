"""One customer as a whole (客户画像, customer 360): summary, trend, assets, timeline, lead track, appointments, bills.

Identities and their history are `api.identity`; who may see a customer and their personal fields, `api.customers`.
"""
