"""What was said in a call: its bodies read as a conversation, whoever's API it was. Pure; nothing here trusts the shape of a body."""
