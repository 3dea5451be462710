"""The certificate of a bundle as statements that the tools of the supply chain read: in-toto, DSSE, SLSA, CycloneDX.

`TARGET.intoto.jsonl` lies beside a bundle, one signed envelope on each line. Every file of the bundle is a
subject of each statement, by its digest.
"""
