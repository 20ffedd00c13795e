//! casemate
