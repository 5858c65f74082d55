"""What a person may demand of us (个人信息保护法): consents given and withdrawn, and to be forgotten."""
