//! Programs written for casemate, and one written for SPIFFE. They stand beside this file, are built by tests only, and say
//! in their first lines what they show; `docs/sdk.md` runs them.
