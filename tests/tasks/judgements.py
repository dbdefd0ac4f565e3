"""Comparisons and rankings with an obvious answer, written for these tests."""

# question, request, better, worse
COMPARISONS = [
    ("Which reply is more polite?", "", "Thanks for waiting, I'll look into it right away.", "Wait. I said wait."),
    ("Which reply is more polite?", "", "Could you perhaps send it again, please?", "Send it again, and no excuses."),
    ("Which message is ruder?", "", "Nobody asked for your opinion, clown.", "I would like to hear your opinion."),
    ("Choose the friendlier greeting", "", "Welcome! So lovely to see you here.", "State your name and business."),
    (
        "Which comment is less toxic?",
        "",
        "I don't share this view at all.",
        "People like you should be locked away, moron.",
    ),
    ("Which comment is more toxic?", "", "You disgusting pig, get lost.", "Nice photo, where was it taken?"),
    ("Which text is shorter?", "", "It rains.", "It has been raining for hours, and no end of it is in sight."),
    ("Pick the longer text", "", "The train left late because a door did not close.", "The train left."),
    (
        "Which summary is more concise?",
        "",
        "Sales rose by 3 %.",
        "In the period that is under review, sales did rise by 3 %.",
    ),
    ("Which is more formal?", "", "We hereby acknowledge your application.", "got ur application, cheers"),
    ("Which is more informal?", "", "hey guys wanna hang out later?", "You are cordially invited to the reception."),
    ("Which is the more professional answer?", "", "Please find the invoice attached.", "lol here's the bill dude"),
    ("Which review is more positive?", "", "The best pasta I ever had.", "The pasta was cold and tasteless."),
    ("Which review is more negative?", "", "Broke after a day, never again.", "Works as described, very happy."),
    ("Which customer is happier?", "", "You made my day, thank you!", "I have been waiting for weeks, this is a joke."),
    (
        "Which is easier to understand?",
        "",
        "Wash your hands before you eat.",
        "Manual ablution is indicated prior to ingestion.",
    ),
    (
        "Which text is more complicated?",
        "",
        "The tort claimant's subrogated entitlement lapses ipso iure.",
        "You can no longer ask for the money.",
    ),
    (
        "Which ticket is more urgent?",
        "",
        "The server is on fire and all customers are offline!",
        "Could the logo be a bit bigger some day?",
    ),
    (
        "Which statement is more biased?",
        "",
        "Old people are always slow and stubborn.",
        "The survey asked 400 people over 65.",
    ),
    (
        "Which is more neutral?",
        "",
        "The council voted seven to five for the plan.",
        "The corrupt council betrayed us all again.",
    ),
    (
        "Which is funnier?",
        "",
        "I told my plants a joke; now they are rooting for me.",
        "The plants are watered on Mondays.",
    ),
    (
        "Which is more helpful?",
        "How do I reset my password?",
        "Click 'Forgot password' on the login page and follow the link.",
        "No idea.",
    ),
    (
        "Which answer is better?",
        "What is the capital of Australia?",
        "The capital of Australia is Canberra.",
        "I like kangaroos and beaches.",
    ),
    (
        "Which answer is better?",
        "How long do I boil an egg?",
        "Six minutes for a soft egg, ten for a hard one.",
        "The stock market closed higher.",
    ),
    (
        "",
        "treatment of back pain",
        "Exercise and heat often relieve pain in the lower back.",
        "The museum opens at nine.",
    ),
    ("", "cheap flights to Rome", "Fly to Rome from 29 euros this winter.", "Our bakery sells fresh bread."),
    (
        "Which is more relevant?",
        "battery life of the phone",
        "The battery lasts two days of heavy use.",
        "The box is blue.",
    ),
    ("Which text is about cats?", "", "Our kitten purrs when she is stroked.", "The engine needs new oil."),
    (
        "Which is less relevant?",
        "gardening tips",
        "The parliament passed the budget.",
        "Prune the roses in early spring.",
    ),
    ("Which one is better?", "", "Open the menu, choose Export, then pick a folder.", "dunno, whatever"),
]

# question, request, entries from best to worst
RANKINGS = [
    (
        "",
        "how to bake bread",
        [
            "Knead flour, water and yeast, then bake the bread for 40 minutes.",
            "A bakery around the corner sells cakes.",
            "The football season starts in August.",
        ],
    ),
    (
        "",
        "python list sorting",
        [
            "Use sorted() or list.sort() to sort a list in Python.",
            "Java is a programming language.",
            "The lake is frozen.",
        ],
    ),
    (
        "Rank by relevance",
        "symptoms of flu",
        [
            "Flu brings fever, aching muscles and a cough.",
            "A cold lasts about a week.",
            "The train to Bern leaves at noon.",
            "Paint dries faster in summer.",
        ],
    ),
    (
        "Most relevant first",
        "solar panels at home",
        [
            "Panels on your roof turn sunlight into electricity for the house.",
            "Wind farms stand in the sea.",
            "He plays the violin.",
        ],
    ),
    (
        "Rank from most to least polite",
        "",
        ["Would you be so kind as to close the window, please?", "Close the window.", "Shut that damn window, idiot."],
    ),
    (
        "Order by positivity: most positive first",
        "",
        ["Absolutely wonderful, I love it!", "It is okay, nothing special.", "Horrible, I want my money back."],
    ),
    (
        "Most urgent first",
        "",
        [
            "Gas leak in the basement, people are fainting!",
            "The printer is out of paper.",
            "Some day we could repaint the fence.",
        ],
    ),
    (
        "Rank by formality, most formal first",
        "",
        [
            "We respectfully request your attendance at the ceremony.",
            "Please come to the ceremony.",
            "yo come over, gonna be lit",
        ],
    ),
    (
        "Shortest first",
        "",
        ["Yes.", "Yes, of course.", "Yes, of course, I will do that tomorrow morning."],
    ),
    (
        "Longest first",
        "",
        ["We walked all the way along the river to the old mill.", "We walked to the mill.", "We walked."],
    ),
    (
        "Which answer is most helpful?",
        "My screen stays black",
        [
            "Hold the power button for ten seconds, then check the cable of the screen.",
            "Screens are made of glass.",
            "Whatever.",
        ],
    ),
    (
        "",
        "vegetarian recipes",
        ["Lentil curry with spinach and rice, without meat.", "Grilled steak with butter.", "How to change a tyre."],
    ),
    (
        "Rank by toxicity, most toxic first",
        "",
        ["I hope you die, you worthless scum.", "You are wrong about this.", "Thank you for the nice talk."],
    ),
    (
        "",
        "earthquake in Japan",
        [
            "A strong quake shook Tokyo and northern Japan.",
            "Japan's prime minister visited Paris.",
            "New shoes are on sale.",
        ],
    ),
    (
        "Least formal first",
        "",
        ["sup bro, u coming?", "Are you coming?", "May we kindly inquire whether you will attend?"],
    ),
]
