// The app `kp` in TypeScript, written by `crewline types`: change the app, not this file.

/** Analyses: the data of a record. What a page is about, how it reads, and whether a comment would be welcome there. */
export interface AnalysesData {
  /** Refers to records of `pages` by their ids. */
  page_id: string;
  topics?: string[];
  tone?: "factual" | "friendly" | "personal" | "critical" | "humorous" | "promotional";
  summary: string;
  /** What one could say something to. */
  openings?: string[];
  /** Flesch's measure; 100 is very easy, and what is hard to read is below 0. */
  reading_ease?: number;
  quality_score?: number;
}

/** Campaigns: the data of a record. What to join in on, for whom, and how far it has come. */
export interface CampaignsData {
  name: string;
  /** What the pages should be about. */
  topic: string;
  /** Whose pages, and who reads them. */
  audience?: string;
  /** What it is for, in a sentence that a stranger understands. */
  goal?: string;
  /** Words that a page should have. */
  keywords?: string[];
  /** Who speaks, unless a comment says otherwise. Refers to records of `personas` by their ids. */
  persona_id?: string;
  comments_wanted?: number;
  /** When it should be over. */
  ends_at?: number;
  status: "draft" | "active" | "paused" | "done";
}

/** Comments: the data of a record. Drafts of comments. A person approves or rejects each; nothing here posts any of them. */
export interface CommentsData {
  /** Refers to records of `pages` by their ids. */
  page_id: string;
  /** Refers to records of `campaigns` by their ids. */
  campaign_id?: string;
  /** Refers to records of `personas` by their ids. */
  persona_id?: string;
  text: string;
  quality_score?: number;
  /** What the review found. */
  review?: string;
  /** Why it was approved or rejected. */
  decision_note?: string;
  status: "draft" | "reviewed" | "approved" | "rejected";
}

/** Pages: the data of a record. Pages that were found, and what stands on them. */
export interface PagesData {
  url: string;
  title: string;
  author?: string;
  /** A language's tag, such as en or de-CH. */
  language?: string;
  /** What is written there, as Markdown or plain text. */
  text?: string;
  words?: number;
  /** Refers to records of `campaigns` by their ids. */
  campaign_id?: string;
  published_at?: number;
  /** How far the page has come; skipped, where nothing should be said there. */
  status: "found" | "read" | "analysed" | "skipped";
}

/** Personas: the data of a record. Who speaks in a comment. Each is somebody of the team, named as such; nobody is made up to deceive. */
export interface PersonasData {
  name: string;
  /** How they write. */
  voice: string;
  /** What they know and have done. */
  background?: string;
  languages?: string[];
  /** What they never say. */
  avoids?: string[];
  active: boolean;
}

/** My settings: the data of a record. What each person has set for themself. */
export interface UserSettingsData {
  theme: "system" | "light" | "dark";
  /** Who speaks in comments that this person drafts. Refers to records of `personas` by their ids. */
  persona_id?: string;
  rows_in_a_table?: number;
  /** What to be told of. */
  notify_of?: ("approvals" | "finished_runs" | "failed_runs" | "mentions")[];
}

/** Settings: the data of a record. What holds for everyone in the workspace. */
export interface WorkspaceSettingsData {
  /** What a draft must reach before a person is asked to decide on it. */
  least_quality_score: number;
  comments_a_day: number;
  shortest_words?: number;
  longest_words?: number;
  /** Sites where nothing should be said. */
  never_on?: string[];
  house_rules?: string;
}

/** Analyse pages: what a run is started with. Measures the pages of a campaign that have been read and stores an analysis of each, with a quality score. It posts nothing anywhere; no agent has a tool that could. */
export interface AnalyzeInputs {
  /** The id of the campaign's record. */
  campaign_id: string;
}

/** Run a campaign: what a run is started with. A manager has four others find pages, analyse them, draft comments and review them, and put the good ones before a person, who approves or rejects each. It posts nothing anywhere; no agent has a tool that could. Agents have the rights of whoever starts the run: an admin, where decisions are to be written. */
export interface CampaignInputs {
  /** The id of the campaign's record. */
  campaign_id: string;
  /** Pages that somebody has read already, to be stored beside those that are found. */
  pages?: ({
    url: string;
    title: string;
    /** What is written there, as Markdown or plain text. */
    text: string;
  })[];
}

/** Write comments: what a run is started with. Drafts comments on the analysed pages of a campaign, has a second agent review and score them, and puts those that are good enough before a person, who approves or rejects each. It posts nothing anywhere; no agent has a tool that could. Agents have the rights of whoever starts the run: an admin, where decisions are to be written. */
export interface OutreachInputs {
  /** The id of the campaign's record. */
  campaign_id: string;
}

/** Find pages: what a run is started with. Finds pages for a campaign and stores each of them once, as a record. It posts nothing anywhere; no agent has a tool that could. */
export interface ResearchInputs {
  /** The id of the campaign's record. */
  campaign_id: string;
  /** Pages that somebody has read already, to be stored beside those that are found. */
  pages?: ({
    url: string;
    title: string;
    /** What is written there, as Markdown or plain text. */
    text: string;
  })[];
}

/** Review a page: what a run is started with. Measures a page, drafts a comment on it, and reviews the draft for a person to decide on. */
export interface ReviewInputs {
  /** The page's HTML, Markdown or plain text; at most 200 KiB. It stays a reference, no prompt repeats it. */
  page: string;
  /** What to call the page, such as its file name. */
  name: string;
  /** Where the page is; its links are told apart by it. */
  url?: string;
}

/** The data of each collection's records, by the collection's name. */
export interface Collections {
  analyses: AnalysesData;
  campaigns: CampaignsData;
  comments: CommentsData;
  pages: PagesData;
  personas: PersonasData;
  user_settings: UserSettingsData;
  workspace_settings: WorkspaceSettingsData;
}

/** The inputs of each crew's runs, by the crew's name. */
export interface CrewInputs {
  analyze: AnalyzeInputs;
  campaign: CampaignInputs;
  outreach: OutreachInputs;
  research: ResearchInputs;
  review: ReviewInputs;
}

/** The app, as `createClient<App>()` takes it. */
export interface App {
  collections: Collections;
  crews: CrewInputs;
}
