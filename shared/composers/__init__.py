"""What writes the text of a draft, a module per kind: `compose(agent, db, draft)`. See shared/compose."""
