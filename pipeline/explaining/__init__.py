"""The explain job: where a detector looked in the faces of one video or image, as pictures and as a film."""
