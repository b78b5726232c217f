"""The citizen's pages, and the doors for everybody else; pages for people, apart from the pods' data."""
