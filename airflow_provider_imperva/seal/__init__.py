"""What an insider cannot forge: signatures over the ledger's commits, and anchors that are kept outside of the lake."""
