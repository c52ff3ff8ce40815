"""The local exchange: Alpaca's protocol on loopback over any tape, with faults on request (design, section 8).

Shares no parser, message model or client code with `adapters`: everything crosses as bytes.
"""
