"""The Long Range Arena: classes of long texts, images and expressions."""
