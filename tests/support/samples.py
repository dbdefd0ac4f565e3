"""Label configs and texts that many tests use."""

CHOICES = """
<View>
  <Header value="What is the message about?"/>
  <Text name="text" value="$text"/>
  <Choices name="topic" toName="text" choice="single">
    <Choice value="Delivery" hint="parcels, couriers, shipping"/>
    <Choice value="Payment" hint="invoices, cards, refunds"/>
    <Choice value="Account" hint="log-in, password, profile"/>
  </Choices>
</View>
"""
PARCEL = {"text": "Where is my parcel? The courier never rang the bell."}
PASSWORD = {"text": "I forgot my password and cannot log in any more."}
