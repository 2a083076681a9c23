"""What is sent, and when: request bodies, and times of arrival."""
