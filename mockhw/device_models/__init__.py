"""Three kinds of simulated memristor behind one interface (``base.DeviceModel``)."""
